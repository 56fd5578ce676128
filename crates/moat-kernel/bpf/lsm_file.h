/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* File accesses: judged by the path that the container sees, by the path within the container's own file system
 * where a mount gave the file another, and by the file itself where a rule names it exactly. */
#pragma once

#define FMODE_READ 1
#define FMODE_WRITE 2
#define OPENED_TO_EXECUTE 0x20 /* __FMODE_EXEC: an execution is not a read */
#define BIT(n) (1u << (n))

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

/* The first of the operations that the rule which decided speaks about: what the record names. */
static __always_inline u32 named_operation(struct search *s, u32 operations)
{
	u32 rank = s->facts->enforced != NONE ? s->facts->enforced : s->facts->audited;
	struct rule *rule = bpf_map_lookup_elem(s->rules, &rank);
	if (rule)
		operations &= rule->operations;
	for (u32 i = 0; i < 16; i++)
		if (operations >> i & 1)
			return i;
	return OP_READ;
}

static __noinline int judge_file(u64 dentry, u64 mount, struct inode *inode, struct facts *f, u32 slot)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct search s = {};
	if (!f || !inode || !open_search(&s, f))
		return 0;
	u32 offset = path_walk(dentry, mount, PATH_BUFFER(slot, 0));
	u32 found = select_by_path(slot, TEXT_FILE, offset);
	u32 other = other_path(slot, f, dentry);

	if (f->needs & (NEED_ACTOR | NEED_ACTOR_PATH))
		f->actors = actor_sets(slot, f->profile, f->needs);
	if (f->needs & NEED_USER)
		f->users = user_sets(task, f->profile);
	if (found)
		consider_found(&s);
	if (other != PATH_LIMIT && select_by_path(slot, TEXT_FILE, other))
		consider_found(&s);
	if (select_by_object(f, inode, TEXT_FILE))
		consider_found(&s);
	if (f->enforced == NONE && f->audited == NONE)
		return 0;
	u32 outcome = outcome_of(enforced_action(&s));
	struct record *r = new_record(slot, f, RECORD_FILE, outcome);
	if (r) {
		r->number = named_operation(&s, f->operations);
		report_file(task, slot, dentry, mount);
	}
	return verdict(outcome);
}

static __noinline int judge_access(struct path *path, struct inode *inode, struct container *c, u64 cgroup, u32 operations)
{
	if (!path || !inode || !c)
		return 0;
	u32 role = current_role(c->init_pid);
	if (role == ROLE_RUNTIME)
		return 0;
	u32 slot = take_slot();
	if (slot == NO_SLOT)
		return refuse_unjudged();
	struct facts *f = new_facts(slot, c, cgroup, role);
	int result = 0;
	if (f) {
		f->operations = operations;
		result = judge_file(address_of(path->dentry), address_of(path->mnt), inode, f, slot);
	}
	give_slot(slot);
	return result;
}

SEC("lsm/file_open")
int BPF_PROG(moat_lsm_open, struct file *file)
{
	u64 cgroup;
	struct container *c = container_with(NEED_FILE, &cgroup);
	if (!c || file->f_flags & OPENED_TO_EXECUTE)
		return 0;
	u32 operations = 0;
	if (file->f_mode & FMODE_READ)
		operations |= BIT(OP_READ);
	if (file->f_mode & FMODE_WRITE)
		operations |= BIT(OP_WRITE);
	return judge_access(&file->f_path, file->f_inode, c, cgroup, operations);
}
