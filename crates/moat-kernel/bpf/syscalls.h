/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* System calls, seen as they begin. Attached only while a rule needs it, for it costs every process on the
 * node: a signal sent here ends the process, but the call itself still takes effect. */
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

static __noinline int judge_syscall(struct task_struct *task, struct container *c, u64 cgroup, u32 number)
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
	u32 outcome = OUTCOME_ALLOWED;
	if (enforced_action(&s) != ACTION_ALERT) {
		bpf_send_signal(SIGKILL);
		outcome = OUTCOME_KILLED_AFTER;
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

SEC("tp_btf/sys_enter")
int BPF_PROG(moat_syscall, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct container *c;
	u64 cgroup = current_container(task, &c);

	if (!c || id < 0 || id >= 512)
		return 0;
	u32 profile = c->profile;
	struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
	if (!p || !(p->traced[(id >> 6) & 7] >> (id & 63) & 1))
		return 0;
	struct task_state *state = state_of(task);
	if ((state && state->role == ROLE_RUNTIME) || foreign_call(task))
		return 0;
	judge_syscall(task, c, cgroup, id);
	if (p->needs & NEED_FILE_CALLS && !settings.judged_before)
		report_file_call(task, regs, c, cgroup, id);
	return 0;
}
