/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Accesses to files that exist: judged by the path that the container sees, by the path within the container's own
 * file system where a mount gave the file another, and by the file itself where a rule names it exactly. */
#pragma once

#define FMODE_READ 1
#define FMODE_WRITE 2
#define OPENED_TO_EXECUTE 0x20 /* __FMODE_EXEC: an execution is not a read */
#define PROT_WRITE 2
#define MAP_TYPE 0xf
#define MAP_PRIVATE 2
#define MOUNTED_NOWHERE (-22ll) /* MNT_NS_INTERNAL */
#define BIT(n) (1u << (n))

/* What is done in which container. */
struct access {
	struct container *container;
	struct vfsmount *mount;
	u64 cgroup;
	u32 operations;
	u32 told;                /* what is allowed was told when the file was opened */
	u32 kept;                /* something is kept with the file, now or from before */
};

static __noinline int report_file(struct task_struct *task, u32 slot, u64 dentry, u64 mount)
{
	u32 which = PATH_BUFFER(slot, 0), end = 0;
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (!out || !buffer || !task)
		return 0;
	struct record *r = &out->head;
	if (!within_allowance(r->cgroup)) {
		suppress(r);
		return 0;
	}
	describe_actor(r, task);
	u32 offset = path_walk(dentry, mount, which);
	r->values[0] = buffer->cut;
	r->path_length = append(out, &end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, PATH_LIMIT);
	struct file *actor = BPF_CORE_READ(task, mm, exe_file);
	if (actor) {
		offset = file_path(actor, which);
		r->arguments_length = append(out, &end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, PATH_LIMIT);
	}
	append_surroundings(out, &end, buffer, which, task, BPF_CORE_READ(task, real_parent, mm, exe_file));
	if (end <= 2 * (PATH_LIMIT + ARGUMENTS_KEPT))
		send(out, sizeof(*r) + end);
	return 0;
}

/* The rank that decides what is told. */
static __always_inline u32 decisive(struct facts *f)
{
	return f->enforced != NONE ? f->enforced : f->audited;
}

/* The first of the operations that the rule which decided speaks about: what the record names. */
static __always_inline u32 named_operation(struct search *s)
{
	u32 rank = decisive(s->facts), operations = s->facts->operations;
	struct rule *rule = bpf_map_lookup_elem(s->rules, &rank);
	if (rule && rule->operations & operations)
		operations &= rule->operations;
	for (u32 i = 0; i < 16; i++)
		if (operations >> i & 1)
			return i;
	return OP_READ;
}

/* The verdict on what was considered. `dentry` and `mount` are the name that is told. */
static __noinline int conclude(struct access *a, u32 slot, u64 dentry, u64 mount)
{
	struct search s = {};
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!a || !f || (f->enforced == NONE && f->audited == NONE) || !open_search(&s, f))
		return 0;
	u32 outcome = outcome_of(enforced_action(&s));
	if (a->told && outcome == OUTCOME_ALLOWED)
		return 0;
	struct record *r = new_record(slot, f, RECORD_FILE, outcome);
	if (r) {
		r->number = named_operation(&s);
		report_file(bpf_get_current_task_btf(), slot, dentry, mount);
	}
	return verdict(outcome);
}

/* Begins to judge; NULL where nothing is to be judged. Apart from the judging, for the stack is short. */
static __noinline struct facts *begin(struct access *a, u32 slot)
{
	if (!a || !a->container)
		return NULL;
	u32 role = current_role(a->container->init_pid);
	if (role == ROLE_RUNTIME)
		return NULL;
	struct facts *f = new_facts(slot, a->container, a->cgroup, role);
	if (f)
		f->operations = a->operations;
	return f;
}

/* Who acts, where rules ask for it. */
static __noinline int find_actor(struct facts *f, u32 slot)
{
	if (!f)
		return 0;
	if (f->needs & (NEED_ACTOR | NEED_ACTOR_PATH))
		f->actors = actor_sets(slot, f->profile, f->needs);
	if (f->needs & NEED_USER)
		f->users = user_sets(bpf_get_current_task_btf(), f->profile);
	return 0;
}

static __noinline int judge_with(struct access *a, struct dentry *dentry, struct names *known, u32 slot)
{
	struct names *names = names_of(slot, OLD_NAME);
	struct facts *f = begin(a, slot);
	if (!a || !dentry || !names || !f)
		return 0;
	u64 address = address_through(&f->address, dentry), mount = address_through(&f->address, a->mount);
	if (known) {
		*names = *known;
	} else {
		name_key(&names->key, dentry, a->mount, f->profile);
		find_names(slot, OLD_NAME, TEXT_FILE, address, mount);
		find_on_volume(slot, OLD_NAME, TEXT_FILE, address, mount);
	}
	if (names->rules) {
		find_actor(f, slot);
		consider_names(slot, OLD_NAME);
	}
	if (!known && dentry->d_inode) {
		names->operations = f->spoken_of;
		remember(dentry->d_inode, names, a->kept);
	}
	return conclude(a, slot, address, mount);
}

/* An access to one file, under one name, that exists or not. */
static __always_inline int judge_access(struct access *a, struct dentry *dentry)
{
	struct names *known = bpf_inode_storage_get(&known_files, dentry->d_inode, NULL, 0);
	a->kept = known != NULL;
	if (known && !holds_now(known, dentry, a->mount, a->container->profile))
		known = NULL;
	if (known && !(known->operations & a->operations))
		return 0;
	u32 slot = take_slot();
	if (slot == NO_SLOT)
		return refuse_unjudged();
	int result = judge_with(a, dentry, known, slot);
	give_slot(slot);
	return result;
}

static __always_inline int judge_path(const struct path *path, u32 operation)
{
	struct access a = { .operations = BIT(operation) };
	a.container = container_with(NEED_FILE, &a.cgroup);
	if (!a.container)
		return 0;
	a.mount = path->mnt;
	return judge_access(&a, path->dentry);
}

/* Overlayfs and others open the file that is behind theirs, by no name that a container has. */
static __always_inline bool opened_by_kernel(struct file *file)
{
	if (file->f_path.dentry->d_inode != file->f_inode)
		return true;
	u64 mount = real_mount((u64)file->f_path.mnt);
	return (s64)FIELD(mount, mount, mnt_ns) == MOUNTED_NOWHERE;
}

static __always_inline u32 opened_for(struct file *file)
{
	return (file->f_mode & FMODE_READ ? BIT(OP_READ) : 0) | (file->f_mode & FMODE_WRITE ? BIT(OP_WRITE) : 0);
}

/* A function of its own, so that its stack is not added to what judges scripts. */
static __noinline int judge_open_file(struct file *file, struct container *c, u64 cgroup, u32 operations, u32 told)
{
	if (!file || !c || !operations || opened_by_kernel(file))
		return 0;
	struct access a = { .container = c, .cgroup = cgroup, .operations = operations, .told = told };
	a.mount = file->f_path.mnt;
	return judge_access(&a, file->f_path.dentry);
}

static __always_inline int judge_known_file(struct file *file, u32 operations)
{
	u64 cgroup;
	struct container *c = container_with(NEED_FILE, &cgroup);
	return c ? judge_open_file(file, c, cgroup, operations, 1) : 0;
}

SEC("lsm/file_open")
int BPF_PROG(moat_lsm_open, struct file *file)
{
	u64 cgroup;
	struct container *c = container_with(NEED_FILE | NEED_INTERPRETED, &cgroup);
	int result = 0;

	if (!c || file->f_flags & OPENED_TO_EXECUTE)
		return 0;
	if (c->needs & NEED_INTERPRETED)
		result = judge_script(file, c, cgroup);
	if (!result && c->needs & NEED_FILE)
		result = judge_open_file(file, c, cgroup, opened_for(file), 0);
	return result;
}

/* A descriptor from another process, or from before the rules, is judged when it comes and when it is mapped. */
SEC("lsm/file_receive")
int BPF_PROG(moat_lsm_receive, struct file *file)
{
	return judge_known_file(file, opened_for(file));
}

SEC("lsm/mmap_file")
int BPF_PROG(moat_lsm_map, struct file *file, unsigned long asked, unsigned long protection, unsigned long flags)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (!may_be_contained(task))
		return 0;
	/* There is none for memory without a file, which some verifiers do not know. */
	if (!address_of(file))
		return 0;
	if (bpf_core_field_exists(task->in_execve) && BPF_CORE_READ_BITFIELD_PROBED(task, in_execve))
		return 0;
	bool shared_writable = protection & PROT_WRITE && (flags & MAP_TYPE) != MAP_PRIVATE;
	return judge_known_file(file, BIT(OP_READ) | (shared_writable ? BIT(OP_WRITE) : 0));
}

/* Of open files from 6.2 on the next program. */
SEC("lsm/path_truncate")
int BPF_PROG(moat_lsm_truncate, const struct path *path)
{
	return judge_path(path, OP_TRUNCATE);
}

SEC("lsm/file_truncate")
int BPF_PROG(moat_lsm_truncate_open, struct file *file)
{
	return judge_path(&file->f_path, OP_TRUNCATE);
}

SEC("lsm/path_chmod")
int BPF_PROG(moat_lsm_chmod, const struct path *path)
{
	return judge_path(path, OP_CHMOD);
}

SEC("lsm/path_chown")
int BPF_PROG(moat_lsm_chown, const struct path *path)
{
	return judge_path(path, OP_CHOWN);
}
