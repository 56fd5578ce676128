/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Decides on an execution: gathers the facts that the container's rules ask for, then takes the first rule
 * in the total order that agrees with all of them. Must decide as moat_policy::decide does. */
#pragma once

enum source { SOURCE_IMAGE = 0, SOURCE_ADDED = 1, SOURCE_FILELESS = 2 };
#define OVERLAYFS_MAGIC 0x794c7630
#define ANCESTORS 1024 /* nobody shakes a rule off by some shells in between */

struct search {
	void *rules;
	void *list;
	struct facts *facts;
	u32 offset;
	u32 number;              /* the port, of connections */
	u32 protocol;
	struct lists except;     /* exceptions by address, of connections */
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

static __always_inline bool listed(void *list, u32 offset, u32 length, u32 rank)
{
	struct membership m = { .list = list, .offset = offset, .rank = rank };
	if (!length)
		return false;
	bpf_loop(length, member_step, &m, 0);
	return m.found;
}

static __always_inline bool bit_of(const u64 *bits, u16 bit)
{
	return bits[(bit >> 6) & 3] >> (bit & 63) & 1;
}

/* Not inlined: struct rule is described to the test of layouts by being this function's parameter. */
static __noinline bool excepted(struct search *s, struct rule *rule, u32 rank)
{
	struct facts *f = s->facts;
	if (!(rule->flags & RULE_EXCEPT))
		return false;
	return listed(s->list, f->path.except_offset, f->path.except_count, rank) ||
	       listed(s->list, f->prefix.except_offset, f->prefix.except_count, rank) ||
	       listed(s->list, f->name.except_offset, f->name.except_count, rank) ||
	       listed(s->list, f->matched.except_offset, f->matched.except_count, rank);
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
	if (rank >= f->enforced && rank >= f->audited)
		return 1;
	struct rule *rule = bpf_map_lookup_elem(s->rules, &rank);
	if (!rule)
		return 1;
	bool enforced = rule->flags & RULE_ENFORCED;
	if (rank >= (enforced ? f->enforced : f->audited))
		return 0;
	if (*entry & ENTRY_NEEDS_NAME && !bit_of(f->name_bits, rule->name_bit))
		return 0;
	if (rule->arguments_bit != NO_BIT && !f->arguments_unreadable && !bit_of(f->argument_bits, rule->arguments_bit))
		return 0;
	if (rule->parent_bit != NO_BIT && !(f->parents >> (rule->parent_bit & 63) & 1))
		return 0;
	if (rule->user_bit != NO_BIT && !(f->users >> (rule->user_bit & 63) & 1))
		return 0;
	/* A task whose origin is not known is judged as either. */
	if (rule->origins && f->role != ROLE_UNKNOWN && !(rule->origins >> (f->role & 7) & 1))
		return 0;
	if (rule->sources && !(rule->sources >> (f->source & 7) & 1))
		return 0;
	if (excepted(s, rule, rank))
		return 0;
	if (enforced)
		f->enforced = rank;
	else
		f->audited = rank;
	return 0;
}

static __always_inline void consider(struct search *s, u32 offset, u32 length)
{
	s->offset = offset;
	if (length)
		bpf_loop(length, search_step, s, 0);
}

static __always_inline struct lists *text_lists(u32 profile, u16 kind, const char *text, u32 length)
{
	u32 zero = 0;
	struct text_key *key = bpf_map_lookup_elem(&text_keys, &zero);
	if (!key || length >= TEXT_MAX)
		return NULL;
	__builtin_memset(key, 0, sizeof(*key));
	key->profile = profile;
	key->kind = kind;
	key->length = length;
	bpf_probe_read_kernel(key->text, length & 255, text);
	return bpf_map_lookup_elem(&texts, key);
}

struct lineage {
	struct task_struct *parent;
	struct cgroup *own;
	struct path_buffer *buffer;
	u64 sets;
	u32 profile, needs;
};

static long ancestor_step(u32 i, struct lineage *l)
{
	struct task_struct *parent = l->parent;
	struct lists *mask;

	if (!parent || cgroup_of(parent) != l->own)
		return 1;
	struct file *file = BPF_CORE_READ(parent, mm, exe_file);
	if (!file)
		return 1;
	if (l->needs & NEED_PARENT) {
		struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
		u32 length = BPF_CORE_READ(dentry, d_name.len);
		mask = text_lists(l->profile, TEXT_PARENT_NAME, (const char *)BPF_CORE_READ(dentry, d_name.name), length);
		if (mask)
			l->sets |= (u64)mask->match_count << 32 | mask->match_offset;
	}
	if (l->needs & NEED_PARENT_PATH) {
		u32 offset = path_walk((u64)&file->f_path, 1);
		mask = text_lists(l->profile, TEXT_PARENT_PATH, l->buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset);
		if (mask)
			l->sets |= (u64)mask->match_count << 32 | mask->match_offset;
	}
	l->parent = BPF_CORE_READ(parent, real_parent);
	return l->parent == parent;
}

/* Which sets of ancestors apply to the current task: its ancestors in the same container. */
__noinline u64 ancestor_sets(u32 profile, u32 needs)
{
	u32 one = 1;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct lineage l = { .profile = profile, .needs = needs };
	l.buffer = bpf_map_lookup_elem(&path_buffers, &one);
	if (!l.buffer)
		return 0;
	l.own = cgroup_of(task);
	l.parent = BPF_CORE_READ(task, real_parent);
	bpf_loop(ANCESTORS, ancestor_step, &l, 0);
	return l.sets;
}

/* Where the file of a program comes from: the image's layers, or not. The container's root file system is
 * known by its device, not by the task's root, which a task may change. */
static __always_inline u32 source_of(struct file *file, u32 root_device)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	if (BPF_CORE_READ(inode, i_nlink) == 0)
		return SOURCE_FILELESS;
	if (BPF_CORE_READ(inode, i_sb, s_dev) != root_device)
		return SOURCE_ADDED;
	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_MAGIC || !bpf_core_type_exists(struct ovl_inode))
		return SOURCE_IMAGE;
	struct ovl_inode *overlay = (void *)inode - bpf_core_field_offset(struct ovl_inode, vfs_inode);
	return BPF_CORE_READ(overlay, __upperdentry) ? SOURCE_ADDED : SOURCE_IMAGE;
}

/* Runs one automaton over `length` bytes of path buffer 0 from `offset` on. The state after the end, 0 where
 * nothing can match; what an automaton of names finds on the way goes to the facts. */
__noinline u32 run_automaton(u64 key, u32 offset, u32 length)
{
	u32 zero = 0;
	struct facts *f = bpf_map_lookup_elem(&all_facts, &zero);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &zero);
	if (!f || !buffer)
		return 0;
	struct run r = { .length = length };
	r.bytes = buffer->bytes + (offset & (PATH_LIMIT - 1));
	r.mask = PATH_LIMIT - 1;
	r.bits = (key & 255) == AUTOMATON_NAME ? f->name_bits : NULL;
	r.automaton = bpf_map_lookup_elem(&automata, &key);
	if (!r.automaton)
		return 0;
	r.table = bpf_map_lookup_elem(&automaton_tables, &key);
	if (!r.table)
		return 0;
	r.state = r.automaton->start;
	bpf_loop(length, run_step, &r, 0);
	return finish(&r);
}
