/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* System calls, seen as they begin, and those that a seccomp filter of the container has refused, as they end. Attached
 * only while a rule needs it, for it costs every process on the node: a signal sent as a call begins ends the process,
 * but the call itself still takes effect. */
#pragma once

/* Where a call that changes a file keeps its paths: argument indices, negative for none. Filled by user
 * space for the numbers of its architecture. */
struct file_call {
	s8 used;
	s8 directory, path;
	s8 directory2, path2;
	s8 pad[3];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 512);
	__type(key, u32);
	__type(value, struct file_call);
} file_calls SEC(".maps");

#define AT_FDCWD (-100)
#define EPERM 1

static __always_inline u64 argument(struct pt_regs *regs, s8 index)
{
	switch (index) {
	case 0:
		return PT_REGS_PARM1_CORE_SYSCALL(regs);
	case 1:
		return PT_REGS_PARM2_CORE_SYSCALL(regs);
	case 2:
		return PT_REGS_PARM3_CORE_SYSCALL(regs);
	case 3:
		return PT_REGS_PARM4_CORE_SYSCALL(regs);
	}
	return 0;
}

/* The directory, or the file itself, that a descriptor of the current task stands for; the working directory for
 * AT_FDCWD. Written to path buffer 0. */
__noinline u32 descriptor_path(s32 descriptor)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	if (descriptor == AT_FDCWD) {
		struct fs_struct *fs = BPF_CORE_READ(task, fs);
		return path_walk((u64)BPF_CORE_READ(fs, pwd.dentry), (u64)BPF_CORE_READ(fs, pwd.mnt), PATH_BUFFER(TRACEPOINT_SLOT, 0));
	}
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	if (descriptor < 0 || (u32)descriptor >= BPF_CORE_READ(table, max_fds))
		return PATH_LIMIT;
	struct file *file = NULL, **slots = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &slots[descriptor]);
	if (!file)
		return PATH_LIMIT;
	return file_path(file, PATH_BUFFER(TRACEPOINT_SLOT, 0));
}

static __always_inline u32 append_string(struct record_buffer *b, u32 *end, u64 from)
{
	u32 at = *end;
	if (!from || at >= 2 * (PATH_LIMIT + ARGUMENTS_KEPT))
		return 0;
	long length = bpf_probe_read_user_str(b->bytes + at, PATH_LIMIT, (void *)from);
	if (length <= 1 || length > PATH_LIMIT)
		return 0;
	*end = at + length - 1;
	return length - 1;
}

static __always_inline u32 append_descriptor(struct record_buffer *b, u32 *end, char *scratch, s32 descriptor)
{
	u32 offset = descriptor_path(descriptor);
	return append(b, end, scratch + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, PATH_LIMIT);
}

static __noinline int report_file_call(struct task_struct *task, struct pt_regs *regs, struct container *c, u64 cgroup, u32 number)
{
	u32 zero = 0, end = 0;
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &zero);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &zero);
	struct file_call *call = bpf_map_lookup_elem(&file_calls, &number);
	if (!out || !buffer || !call || !task || !regs || !c || !call->used)
		return 0;
	struct record *r = &out->head;
	__builtin_memset(r, 0, sizeof(*r));
	r->kind = RECORD_FILE_CALL;
	r->cgroup = cgroup;
	r->generation = c->generation;
	r->enforced = r->audited = NONE;
	r->number = number;
	if (!within_allowance(cgroup)) {
		suppress(r);
		return 0;
	}
	describe_actor(r, task);
	if (call->path >= 0)
		r->path_length = append_string(out, &end, argument(regs, call->path));
	r->arguments_length = append_descriptor(out, &end, buffer->bytes, call->directory >= 0 ? (s32)argument(regs, call->directory) : AT_FDCWD);
	if (call->path2 >= 0) {
		r->parent_length = append_string(out, &end, argument(regs, call->path2));
		r->directory_length = append_descriptor(out, &end, buffer->bytes, call->directory2 >= 0 ? (s32)argument(regs, call->directory2) : AT_FDCWD);
	}
	r->values[0] = argument(regs, 1);
	r->values[1] = argument(regs, 2);
	if (end <= 2 * (PATH_LIMIT + ARGUMENTS_KEPT))
		send(out, sizeof(*r) + end);
	return 0;
}

/* `refused`: by the container's filter, so that it is told, and what the filter cannot do is done. */
static __noinline int judge_syscall(struct task_struct *task, struct container *c, u64 cgroup, u32 number, bool refused)
{
	u32 profile;
	if (!task || !c)
		return 0;
	profile = c->profile;
	struct number_key key = { .profile = profile, .kind = NUMBER_SYSCALL, .number = number };
	struct lists *found = bpf_map_lookup_elem(&numbers, &key);
	struct facts *f = new_facts(TRACEPOINT_SLOT, c, cgroup, ROLE_UNKNOWN);
	struct search s = {};
	if (!found || !f || !open_search(&s, f))
		return 0;
	consider(&s, found->match_offset, found->match_count);
	if (f->enforced == NONE && f->audited == NONE)
		return 0;
	u32 outcome = OUTCOME_ALLOWED, action = enforced_action(&s);
	if (refused) {
		/* What is only reported was so as the call began: this error is the kernel's own. */
		if (f->enforced == NONE || action == ACTION_ALERT)
			return 0;
		outcome = OUTCOME_DENIED;
	}
	if (action != ACTION_ALERT && !(refused && action == ACTION_BLOCK)) {
		bpf_send_signal(SIGKILL);
		outcome = refused ? OUTCOME_KILLED : OUTCOME_KILLED_AFTER;
	}
	struct record *r = new_record(TRACEPOINT_SLOT, f, RECORD_SYSCALL, outcome);
	if (!r)
		return 0;
	r->number = number;
	describe_actor(r, task);
	if (within_allowance(cgroup))
		send(r, sizeof(*r));
	else
		suppress(r);
	return 0;
}

#define TS_COMPAT 2   /* x86 */
#define TIF_32BIT 22  /* arm64 */

/* Whether a task is in a system call of another architecture, whose numbers mean something else. */
static __always_inline bool foreign_call(struct task_struct *task)
{
#if defined(__TARGET_ARCH_x86)
	return bpf_core_field_exists(task->thread_info.status) && task->thread_info.status & TS_COMPAT;
#else
	return task->thread_info.flags >> TIF_32BIT & 1;
#endif
}

/* The number of the call that ends. */
static __always_inline long called(struct pt_regs *regs)
{
#if defined(__TARGET_ARCH_x86)
	return regs->orig_ax;
#else
	return regs->syscallno;
#endif
}

/* The container of the task where its rules watch this call; else NULL. */
static __always_inline struct container *watching(struct task_struct *task, long id, u64 *cgroup, struct profile **p)
{
	struct container *c;
	*cgroup = current_container(task, &c);
	if (!c || id < 0 || id >= 512)
		return NULL;
	u32 profile = c->profile;
	*p = bpf_map_lookup_elem(&profiles, &profile);
	if (!*p || !((*p)->traced[(id >> 6) & 7] >> (id & 63) & 1))
		return NULL;
	struct task_state *state = state_of(task);
	return (state && state->role == ROLE_RUNTIME) || foreign_call(task) ? NULL : c;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(moat_syscall, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct profile *p;
	u64 cgroup;
	struct container *c = watching(task, id, &cgroup, &p);
	if (!c)
		return 0;
	judge_syscall(task, c, cgroup, id, false);
	if (p->needs & NEED_FILE_CALLS && !settings.judged_before)
		report_file_call(task, regs, c, cgroup, id);
	return 0;
}

/* A call that the filter refuses is not seen as it begins. One that was seen, and a rule is against, ends its process. */
SEC("tp_btf/sys_exit")
int BPF_PROG(moat_refused, struct pt_regs *regs, long error)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct profile *p;
	u64 cgroup;
	if (error != -EPERM || task->pending.signal.sig[0] >> (SIGKILL - 1) & 1)
		return 0;
	long id = called(regs);
	struct container *c = watching(task, id, &cgroup, &p);
	if (c)
		judge_syscall(task, c, cgroup, id, true);
	return 0;
}
