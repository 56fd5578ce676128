/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Decides on executions and file accesses: gathers the facts that the container's rules ask for, then takes the
 * first rule in the total order that agrees with all of them. Must decide as moat_policy::decide does. */
#pragma once

enum source { SOURCE_IMAGE = 0, SOURCE_ADDED = 1, SOURCE_FILELESS = 2 };
#define OVERLAYFS_MAGIC 0x794c7630

/* How a program comes to run. */
enum manner {
	EXECUTED,                /* by execve */
	LAUNCHED,                /* mapped by a dynamic loader that was executed itself */
	MAPPED,                  /* executable, into a task that runs another program */
	INTERPRETED,             /* read by its interpreter, that was executed itself */
};

struct search {
	void *rules;
	void *list;
	struct facts *facts;
	u32 offset;
	u32 manner;              /* of a program */
};

struct membership {
	void *list;
	u32 offset;
	u32 rank;
	u32 found;
};

static long member_step(u32 i, struct membership *m)
{
	u32 index = m->offset + i;
	u32 *entry = bpf_map_lookup_elem(m->list, &index);
	if (!entry)
		return 1;
	if (*entry == m->rank) {
		m->found = 1;
		return 1;
	}
	return 0;
}
LOOP_BODY(member_step, struct membership)

static __always_inline bool listed(void *list, u32 offset, u32 length, u32 rank)
{
	struct membership m = { .list = list, .offset = offset, .rank = rank };
	if (!length)
		return false;
	LOOP(length, member_step, &m);
	return m.found;
}

static __always_inline bool bit_of(const u64 *bits, u16 bit)
{
	return bits[(bit >> 6) & 3] >> (bit & 63) & 1;
}

/* Whether a condition by sets is met: one bit of a mask. */
static __always_inline bool within(u64 mask, u16 bit)
{
	return mask >> (bit & 63) & 1;
}

/* Not inlined: struct rule is described to the test of layouts by being this function's parameter. */
static __noinline bool excepted(struct search *s, struct rule *rule, u32 rank)
{
	struct facts *f = s->facts;
	if (!(rule->flags & RULE_EXCEPT))
		return false;
	return listed(s->list, f->found.path.except_offset, f->found.path.except_count, rank) ||
	       listed(s->list, f->found.prefix.except_offset, f->found.prefix.except_count, rank) ||
	       listed(s->list, f->found.matched.except_offset, f->found.matched.except_count, rank) ||
	       listed(s->list, f->name.except_offset, f->name.except_count, rank);
}

/* Whether everything that a rule asks for besides its selectors holds. */
static __always_inline bool agrees(struct facts *f, struct rule *rule)
{
	if (rule->arguments_bit != NO_BIT && !f->arguments_unreadable && !bit_of(f->argument_bits, rule->arguments_bit))
		return false;
	if (rule->parent_bit != NO_BIT && !within(f->parents, rule->parent_bit))
		return false;
	if (rule->user_bit != NO_BIT && !within(f->users, rule->user_bit))
		return false;
	/* A task whose origin is not known is judged as either. */
	if (rule->origins && f->role != ROLE_UNKNOWN && !(rule->origins >> (f->role & 7) & 1))
		return false;
	if (rule->sources && !(rule->sources >> (f->source & 7) & 1))
		return false;
	if (rule->operations && !(rule->operations & f->operations))
		return false;
	if (rule->actor_bit != NO_BIT && !within(f->actors, rule->actor_bit))
		return false;
	if (rule->except_actor_bit != NO_BIT && within(f->actors, rule->except_actor_bit))
		return false;
	return rule->except_user_bit == NO_BIT || !within(f->users, rule->except_user_bit);
}

/* Takes the rule at one entry if it agrees. Lists are in rank order, so the first that agrees is the best. */
static long search_step(u32 i, struct search *s)
{
	struct facts *f = s->facts;
	u32 index = s->offset + i;
	u32 *entry = bpf_map_lookup_elem(s->list, &index);
	if (!entry)
		return 1;
	u32 rank = *entry & ~ENTRY_NEEDS_NAME;
	if (rank >= f->enforced && rank >= f->audited) {
		f->spoken_of = ANY_OPERATION;
		return 1;
	}
	struct rule *rule = bpf_map_lookup_elem(s->rules, &rank);
	if (!rule)
		return 1;
	f->spoken_of |= rule->operations ? rule->operations : ANY_OPERATION;
	bool enforced = rule->flags & RULE_ENFORCED;
	if (rank >= (enforced ? f->enforced : f->audited))
		return 0;
	if (*entry & ENTRY_NEEDS_NAME && !bit_of(f->name_bits, rule->name_bit))
		return 0;
	/* A file that is not executed itself: only rules that name it, and on libraries those on drift. */
	if (s->manner > LAUNCHED && !(*entry & ENTRY_NEEDS_NAME) && !(s->manner == MAPPED && rule->sources))
		return 0;
	if (!agrees(f, rule) || excepted(s, rule, rank))
		return 0;
	if (enforced)
		f->enforced = rank;
	else
		f->audited = rank;
	return 0;
}
LOOP_BODY(search_step, struct search)

static __always_inline void consider(struct search *s, u32 offset, u32 length)
{
	s->offset = offset;
	if (length)
		LOOP(length, search_step, s);
}

/* Considers the rules that the name in f->found leads to. */
static __always_inline void consider_found(struct search *s)
{
	struct selection *found = &s->facts->found;
	consider(s, found->path.match_offset, found->path.match_count);
	consider(s, found->prefix.match_offset, found->prefix.match_count);
	consider(s, found->matched.match_offset, found->matched.match_count);
}

static __always_inline bool open_search(struct search *s, struct facts *f)
{
	u32 profile = f->profile;
	s->facts = f;
	s->rules = bpf_map_lookup_elem(&rules, &profile);
	s->list = bpf_map_lookup_elem(&rule_lists, &profile);
	return s->rules && s->list;
}

/* Begins to judge an act in a container. */
static __always_inline struct facts *new_facts(u32 slot, struct container *c, u64 cgroup, u32 role)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f)
		return NULL;
	__builtin_memset(f, 0, sizeof(*f));
	f->cgroup = cgroup;
	f->generation = c->generation;
	f->profile = c->profile;
	f->needs = c->needs;
	f->root_device = c->root_device;
	f->init_pid = c->init_pid;
	f->role = role;
	f->enforced = f->audited = NONE;
	return f;
}

static __always_inline struct lists *lists_of_key(struct text_key *key, u32 length)
{
	if (length <= TEXT_SHORT)
		return bpf_map_lookup_elem(&short_texts, key);
	if (length <= TEXT_MIDDLE)
		return bpf_map_lookup_elem(&middle_texts, key);
	return bpf_map_lookup_elem(&texts, key);
}

/* The lists of a text somewhere in the kernel's memory. */
static __always_inline struct lists *text_lists(u32 slot, u32 profile, u16 kind, const char *text, u32 length)
{
	struct text_buffer *buffer = bpf_map_lookup_elem(&text_keys, &slot);
	if (!buffer || length >= TEXT_MAX)
		return NULL;
	struct text_key *key = &buffer->key;
	if (length <= TEXT_SHORT)
		__builtin_memset(key->text, 0, TEXT_SHORT);
	else
		__builtin_memset(key->text, 0, TEXT_MAX);
	key->profile = profile;
	key->kind = kind;
	key->length = length;
	u32 used = length;
	barrier_var(used); /* or the mask is optimised away, and with it the proof for older verifiers */
	bpf_probe_read_kernel(key->text, used & 255, text);
	return lists_of_key(key, length);
}

/* A place of so many bytes in front of the path in a buffer. */
static __always_inline void *in_front_of(struct path_buffer *buffer, u32 offset, u32 size)
{
	return (void *)buffer + sizeof(buffer->head) - size + (offset & (PATH_LIMIT - 1));
}

/* The same of the path at the end of a path buffer: it becomes its own key. In front of it nothing is of use any more,
 * and behind it are zeros. */
static __always_inline struct lists *path_lists(struct path_buffer *buffer, u32 offset, u32 profile, u16 kind)
{
	u32 length = PATH_LIMIT - offset;
	if (length >= TEXT_MAX)
		return NULL;
	struct text_key *key = in_front_of(buffer, offset, TEXT_HEAD);
	key->profile = profile;
	key->kind = kind;
	key->length = length;
	return lists_of_key(key, length);
}

/* And what is known of the longest directory that it lies in. Of a path that is too long the first part counts. */
static __always_inline struct lists *prefix_lists(struct path_buffer *buffer, u32 offset, u32 profile, u32 kind)
{
	u32 length = PATH_LIMIT - offset;
	struct prefix_key *key = in_front_of(buffer, offset, PREFIX_HEAD);
	key->bits = 64 + (length < TEXT_MAX ? length : TEXT_MAX - 1) * 8;
	key->profile = profile;
	key->kind = kind;
	return bpf_map_lookup_elem(&prefixes, key);
}

static __always_inline u64 mask_of(struct lists *mask)
{
	return mask ? (u64)mask->match_count << 32 | mask->match_offset : 0;
}

/* Which sets of programs the acting one is in. */
__noinline u64 actor_sets(u32 slot, u32 profile, u32 needs)
{
	u32 one = PATH_BUFFER(slot, 1);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &one);
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	u64 sets = 0;
	if (!buffer || !file)
		return 0;
	if (needs & NEED_ACTOR) {
		struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
		u32 length = BPF_CORE_READ(dentry, d_name.len);
		const char *name = (const char *)BPF_CORE_READ(dentry, d_name.name);
		sets |= mask_of(text_lists(slot, profile, TEXT_ACTOR_NAME, name, length));
	}
	if (needs & NEED_ACTOR_PATH) {
		u32 offset = file_path(file, one);
		const char *path = buffer->bytes + (offset & (PATH_LIMIT - 1));
		sets |= mask_of(text_lists(slot, profile, TEXT_ACTOR_PATH, path, PATH_LIMIT - offset));
	}
	return sets;
}

static __always_inline u64 user_sets(struct task_struct *task, u32 profile)
{
	struct number_key key = { .profile = profile, .kind = NUMBER_USER, .number = BPF_CORE_READ(task, cred, uid.val) };
	return mask_of(bpf_map_lookup_elem(&numbers, &key));
}

/* Where the file of a program comes from: the image's layers, or not. The container's root file system is
 * known by its device, not by the task's root, which a task may change. */
static __always_inline u32 source_of(u64 dentry, u32 root_device)
{
	struct inode *inode = BPF_CORE_READ((struct dentry *)dentry, d_inode);
	if (BPF_CORE_READ(inode, i_nlink) == 0)
		return SOURCE_FILELESS;
	if (BPF_CORE_READ(inode, i_sb, s_dev) != root_device)
		return SOURCE_ADDED;
	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_MAGIC || !bpf_core_type_exists(struct ovl_inode))
		return SOURCE_IMAGE;
	struct ovl_inode *overlay = (void *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);
	return BPF_CORE_READ(overlay, __upperdentry) ? SOURCE_ADDED : SOURCE_IMAGE;
}

/* Fills f->found.matched with what the automaton of a kind says of the whole path at `offset`. */
__noinline u32 select_by_automaton(u32 slot, u32 kind, u32 offset)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f)
		return 0;
	u64 key = AUTOMATON_KEY(f->profile, kind, 0);
	u32 state = end_automaton(slot, key, run_automaton(slot, key, FROM_START, offset, PATH_LIMIT - offset));
	struct automaton *automaton = bpf_map_lookup_elem(&automata, &key);
	void *table = bpf_map_lookup_elem(&automaton_tables, &key);
	__builtin_memset(&f->found.matched, 0, sizeof(f->found.matched));
	if (!automaton || !table || !state || state < automaton->min_match)
		return 0;
	u32 at = automaton->match_base + ((state - automaton->min_match) / automaton->stride) * 4;
	u32 words[4] = {};
	for (u32 i = 0; i < 4; i++) {
		u32 index = at + i, *word = bpf_map_lookup_elem(table, &index);
		if (word)
			words[i] = *word;
	}
	f->found.matched.match_offset = words[0];
	f->found.matched.match_count = words[1];
	f->found.matched.except_offset = words[2];
	f->found.matched.except_count = words[3];
	return 0;
}

/* Fills f->found with the rules that the path at `offset` of the slot's first path buffer leads to; `kind` is
 * TEXT_PATH for programs, TEXT_FILE for files. */
__noinline u32 select_by_path(u32 slot, u32 kind, u32 offset)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (!f || !buffer)
		return 0;
	u32 profile = f->profile, needs = f->needs;
	bool program = kind == TEXT_PATH;

	__builtin_memset(&f->found, 0, sizeof(f->found));
	if (buffer->cut) {
		/* What comes before the end may be anything, and with it the path match any glob; exact paths are shorter. */
		struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
		if (!p)
			return 0;
		f->found.matched.match_offset = program ? p->unplaced_programs_offset : p->unplaced_files_offset;
		f->found.matched.match_count = program ? p->unplaced_programs_count : p->unplaced_files_count;
		return f->found.matched.match_count;
	}
	if (needs & (program ? NEED_PATH : NEED_FILE)) {
		struct lists *found = path_lists(buffer, offset, profile, kind);
		if (found)
			f->found.path = *found;
	}
	if (needs & (program ? NEED_PREFIX : NEED_FILE_PREFIX)) {
		struct lists *found = prefix_lists(buffer, offset, profile, kind);
		if (found)
			f->found.prefix = *found;
	}
	if (needs & (program ? NEED_PATH_AUTOMATON : NEED_FILE_AUTOMATON))
		select_by_automaton(slot, program ? AUTOMATON_PATH : AUTOMATON_FILE, offset);
	return f->found.path.match_count + f->found.prefix.match_count + f->found.matched.match_count;
}

/* Fills f->found with the rules by one of the exact names that they have for this very file, under whatever name it is reached. */
static __always_inline u32 select_by_object(struct facts *f, u32 kind, u64 inode, u32 device, u32 place)
{
	struct object_key key = { .profile = f->profile, .kind = kind, .inode = inode, .device = device, .place = place };
	struct lists *found = bpf_map_lookup_elem(&objects, &key);
	__builtin_memset(&f->found, 0, sizeof(f->found));
	if (!found)
		return 0;
	f->found.path = *found;
	return found->match_count;
}

/* Considers those rules; 0 where there are none in this place, nor in those behind it. */
__noinline u32 consider_object(u32 slot, u32 kind, u64 inode, u32 device, u32 place)
{
	struct search s = {};
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f || !open_search(&s, f) || !select_by_object(f, kind, inode, device, place))
		return 0;
	consider_found(&s);
	return 1;
}

static __always_inline void consider_objects(u32 slot, u32 kind, u64 inode, u32 device)
{
	for (u32 place = 0; place < OBJECT_NAMES; place++)
		if (!consider_object(slot, kind, inode, device, place))
			break;
}

/* The path of a file within its own file system, where that is the container's root and the file was reached by
 * another way than the container's own: a bind mount is no new name. PATH_LIMIT where there is none. */
static __always_inline u32 other_path(u32 slot, struct facts *f, u64 dentry)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	struct super_block *system = FIELD(dentry, dentry, d_sb);
	if (!buffer || FIELD(super_block, system, s_dev) != f->root_device || FIELD(super_block, system, s_magic) != OVERLAYFS_MAGIC)
		return PATH_LIMIT;
	if (buffer->mounts == 1 && buffer->top == (u64)FIELD(super_block, system, s_root))
		return PATH_LIMIT;
	return path_walk(dentry, 0, which);
}

/* The action of the enforced rule that was found, ACTION_ALERT where there is none. */
static __always_inline u32 enforced_action(struct search *s)
{
	u32 rank = s->facts->enforced;
	if (rank == NONE)
		return ACTION_ALERT;
	struct rule *rule = bpf_map_lookup_elem(s->rules, &rank);
	return rule ? rule->action : ACTION_BLOCK;
}

static __always_inline struct record *new_record(u32 slot, struct facts *f, u32 kind, u32 outcome)
{
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &slot);
	if (!out)
		return NULL;
	struct record *r = &out->head;
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->outcome = outcome;
	r->cgroup = f->cgroup;
	r->generation = f->generation;
	r->enforced = f->enforced;
	r->audited = f->audited;
	r->role = f->role;
	r->source = f->source;
	return r;
}
