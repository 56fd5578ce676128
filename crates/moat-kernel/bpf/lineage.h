/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The ancestors of a task. The kernel's tree forgets those that have ended, and takes a child that says so for its
 * creator's sibling (CLONE_PARENT). So what made a task is kept with it, from fork to fork, in containers whose rules ask
 * for ancestors. Both count: what the ancestors were then, and what those that are left are now. */
#pragma once

#define ANCESTORS 1024 /* of the tree: nobody shakes a rule off by some shells in between */
#define NEED_LINEAGE (NEED_PARENT | NEED_PARENT_PATH)

struct hashing {
	const char *bytes;
	u64 hash;
};

static long hash_byte(u32 i, struct hashing *h)
{
	h->hash = (h->hash ^ (u8)h->bytes[i & (PATH_LIMIT - 1)]) * 0x100000001b3ull;
	return 0;
}
LOOP_BODY(hash_byte, struct hashing)

/* FNV-1a, as text_hash() in src/programs/layout.rs; 0 of a text that is longer than any in a rule. */
static __always_inline u64 hash_text(struct path_buffer *buffer, u32 offset, u32 length)
{
	struct hashing h = { .hash = 0xcbf29ce484222325ull };
	if (length >= TEXT_MAX)
		return 0;
	h.bytes = buffer->bytes + (offset & (PATH_LIMIT - 1));
	LOOP(length, hash_byte, &h);
	return h.hash;
}

__noinline u64 name_hash(u32 which, u64 file)
{
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	struct dentry *dentry = BPF_CORE_READ((struct file *)file, f_path.dentry);
	u32 length = BPF_CORE_READ(dentry, d_name.len);
	if (!buffer)
		return 0;
	barrier_var(length);
	bpf_probe_read_kernel(buffer->bytes, length & 255, BPF_CORE_READ(dentry, d_name.name));
	return hash_text(buffer, 0, length);
}

static __always_inline u64 path_hash(u32 which, u64 file)
{
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	u32 offset = file_path((struct file *)file, which);
	return buffer ? hash_text(buffer, offset, PATH_LIMIT - offset) : 0;
}

/* Which sets of ancestors a program is in. */
__noinline u64 program_sets(u32 profile, u64 name, u64 path)
{
	struct number_key key = { .profile = profile, .kind = NUMBER_ANCESTOR_NAME, .number = name };
	u64 sets = name ? mask_of(bpf_map_lookup_elem(&numbers, &key)) : 0;
	key.kind = NUMBER_ANCESTOR_PATH;
	key.number = path;
	return sets | (path ? mask_of(bpf_map_lookup_elem(&numbers, &key)) : 0);
}

static __always_inline void add_ancestor(struct lineage *l, u64 name, u64 path)
{
	u32 count = l->count;
	for (u32 i = 0; i < KEPT_ANCESTORS && i < count; i++)
		if (l->ancestors[i].name == name && l->ancestors[i].path == path)
			return;
	if (count >= KEPT_ANCESTORS) {
		l->too_many = 1;
		return;
	}
	l->ancestors[count & (KEPT_ANCESTORS - 1)].name = name;
	l->ancestors[count & (KEPT_ANCESTORS - 1)].path = path;
	l->count = count + 1;
}

struct ascent {
	struct task_struct *parent;
	struct cgroup *own;
	struct lineage *lineage; /* to fill; NULL: sets are asked for */
	u64 container;
	u64 sets;
	u32 slot, profile, needs;
};

/* In the same container, whichever cgroup of it. */
static __always_inline bool is_relative(struct task_struct *task, struct ascent *a)
{
	struct cgroup *cgroup = cgroup_of(task);
	if (cgroup == a->own)
		return true;
	u64 id = BPF_CORE_READ(cgroup, kn, id);
	return container_of_cgroup(&id) && id == a->container;
}

static long ancestor_step(u32 i, struct ascent *a)
{
	struct task_struct *parent = a->parent;
	u32 which = PATH_BUFFER(a->slot, 1);
	if (!parent || !is_relative(parent, a))
		return 1;
	u64 file = (u64)BPF_CORE_READ(parent, mm, exe_file);
	if (file) {
		u64 name = a->needs & NEED_PARENT ? name_hash(which, file) : 0;
		u64 path = a->needs & NEED_PARENT_PATH ? path_hash(which, file) : 0;
		if (a->lineage)
			add_ancestor(a->lineage, name, path);
		else
			a->sets |= program_sets(a->profile, name, path);
	}
	a->parent = BPF_CORE_READ(parent, real_parent);
	return a->parent == parent;
}
LOOP_BODY(ancestor_step, struct ascent)

static __always_inline void ascend(struct ascent *a, struct task_struct *task)
{
	a->own = cgroup_of(task);
	a->parent = BPF_CORE_READ(task, real_parent);
	LOOP(ANCESTORS, ancestor_step, a);
}

/* Which sets of ancestors apply to the current task. */
__noinline u64 ancestor_sets(u32 slot)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct task_struct *task = bpf_get_current_task_btf();
	if (!f)
		return 0;
	struct ascent a = { .slot = slot, .profile = f->profile, .needs = f->needs, .container = f->cgroup };
	struct lineage *l = bpf_task_storage_get(&lineages, task, NULL, 0);
	if (l) {
		if (l->too_many)
			return ~0ull;
		for (u32 i = 0; i < KEPT_ANCESTORS && i < l->count; i++)
			a.sets |= program_sets(a.profile, l->ancestors[i].name, l->ancestors[i].path);
	}
	ascend(&a, task);
	return a.sets;
}

/* What a task knows of its ancestors; of one that is older than the rules, what the tree says. */
static __always_inline struct lineage *lineage_of(struct task_struct *task, u64 container)
{
	struct lineage *l = bpf_task_storage_get(&lineages, task, NULL, 0);
	if (l)
		return l;
	l = bpf_task_storage_get(&lineages, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!l)
		return NULL;
	struct ascent a = { .slot = TRACEPOINT_SLOT, .needs = NEED_LINEAGE, .lineage = l, .container = container };
	ascend(&a, task);
	return l;
}

/* Tells a new task what made it. */
static __noinline int keep_lineage(struct task_struct *parent, struct task_struct *child, u64 container)
{
	u32 which = PATH_BUFFER(TRACEPOINT_SLOT, 1);
	if (!parent || !child)
		return 0;
	struct lineage *own = lineage_of(parent, container);
	struct lineage *made = own ? bpf_task_storage_get(&lineages, child, own, BPF_LOCAL_STORAGE_GET_F_CREATE) : NULL;
	if (!own || !made) {
		count(COUNTER_LINEAGE_LOST);
		return 0;
	}
	u64 file = (u64)BPF_CORE_READ(parent, mm, exe_file);
	/* Threads make each other, and stay one process. */
	if (!file || parent->tgid == child->tgid)
		return 0;
	if (own->executable != file) {
		own->own.name = name_hash(which, file);
		own->own.path = path_hash(which, file);
		own->executable = file;
	}
	add_ancestor(made, own->own.name, own->own.path);
	made->own = own->own;
	made->executable = file;
	return 0;
}

/* The task has another program now. */
static __always_inline void forget_own(struct task_struct *task)
{
	struct lineage *l = bpf_task_storage_get(&lineages, task, NULL, 0);
	if (l)
		l->executable = 0;
}
