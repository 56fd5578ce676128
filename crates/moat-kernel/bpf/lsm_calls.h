/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* System calls, refused at the LSM hooks that they cannot get past: the hook is told by which call it is reached.
 * Which hooks hold which call stands in src/programs/calls.rs. A program is attached only while a rule needs it. */
#pragma once

/* As in src/programs/calls.rs: the number is the bit in call_gates. */
#define CALL_HOOKS(HOOK) \
	HOOK(bpf) HOOK(bprm_check_security) HOOK(capable) HOOK(capset) \
	HOOK(file_alloc_security) HOOK(file_ioctl) HOOK(file_ioctl_compat) HOOK(file_truncate) \
	HOOK(inode_init_security_anon) HOOK(inode_remove_acl) HOOK(inode_removexattr) HOOK(inode_set_acl) \
	HOOK(inode_setxattr) HOOK(key_alloc) HOOK(key_permission) HOOK(move_mount) HOOK(path_chmod) \
	HOOK(path_chown) HOOK(path_chroot) HOOK(path_link) HOOK(path_mkdir) HOOK(path_mknod) HOOK(path_notify) \
	HOOK(path_rename) HOOK(path_rmdir) HOOK(path_symlink) HOOK(path_truncate) HOOK(path_unlink) \
	HOOK(perf_event_open) HOOK(ptrace_access_check) HOOK(ptrace_traceme) HOOK(quotactl) HOOK(sb_mount) \
	HOOK(sb_pivotroot) HOOK(sb_umount) HOOK(settime) HOOK(socket_accept) HOOK(socket_bind) \
	HOOK(socket_connect) HOOK(socket_create) HOOK(socket_getsockopt) HOOK(socket_listen) HOOK(socket_recvmsg) \
	HOOK(socket_sendmsg) HOOK(socket_setsockopt) HOOK(socket_shutdown) HOOK(syslog) HOOK(task_alloc) \
	HOOK(task_fix_setgid) HOOK(task_fix_setuid) HOOK(task_kill) HOOK(task_movememory) HOOK(task_prctl) \
	HOOK(task_prlimit) HOOK(task_setioprio) HOOK(task_setnice) HOOK(task_setpgid) HOOK(task_setrlimit) \
	HOOK(task_setscheduler) HOOK(userns_create)

#define HOOK_NUMBER(name) HOOK_##name,
enum call_hook { CALL_HOOKS(HOOK_NUMBER) };

#define CALLS 512
/* What a hook is reached by besides its own calls, as a number behind those of all calls. */
#define OTHERWISE(hook) (CALLS + (hook))
#define NO_CALL 0xffffffffu
#define IO_URING_ENTER 426 /* on every architecture */

/* Bit enum call_hook: this hook judges the call. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CALLS);
	__type(key, u32);
	__type(value, u64);
} call_gates SEC(".maps");

/* 32-bit calls and those of x32 as the calls that they are, one more than the number; 0: of no concern. */
#define FOREIGN_SOCKET 512 /* socketcall's by its first argument, 32 of them */
#define FOREIGN_X32 544    /* those of x32 that have numbers of their own, 48 of them */
#define FOREIGN_CALLS 592
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FOREIGN_CALLS);
	__type(key, u32);
	__type(value, u32);
} foreign_calls SEC(".maps");

#define PF_IO_WORKER 0x10

static __always_inline u32 of_foreign(u32 index)
{
	u32 *call = bpf_map_lookup_elem(&foreign_calls, &index);
	return call && *call ? *call - 1 : NO_CALL;
}

/* The system call that the current task is in: NO_CALL in none, or in one that no hook knows. */
static __always_inline u32 current_call(struct task_struct *task)
{
	if (task->flags & PF_IO_WORKER)
		return IO_URING_ENTER;
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
#if defined(__TARGET_ARCH_x86)
#define X32_BIT 0x40000000u
#define I386_SOCKETCALL 102
	u32 number = regs->orig_ax;
	if (foreign_call(task)) {
		if (number == I386_SOCKETCALL)
			return of_foreign(FOREIGN_SOCKET + (regs->bx & 31));
		return number < CALLS ? of_foreign(number) : NO_CALL;
	}
	if (number != NO_CALL && number & X32_BIT) {
		number &= ~X32_BIT;
		return number < CALLS ? number : of_foreign(FOREIGN_X32 + number - CALLS);
	}
	return number;
#else
	return foreign_call(task) ? NO_CALL : regs->syscallno;
#endif
}

struct call_search {
	void *rules;
	void *list;
	u32 offset;
	u32 enforced, audited;
};

/* Rules about calls and capabilities have no further conditions: the first of each kind decides. */
static long call_step(u32 i, struct call_search *s)
{
	u32 index = s->offset + i;
	u32 *rank = bpf_map_lookup_elem(s->list, &index);
	struct rule *rule = rank ? bpf_map_lookup_elem(s->rules, rank) : NULL;
	if (!rule)
		return 1;
	if (rule->flags & RULE_ENFORCED) {
		if (s->enforced == NONE)
			s->enforced = *rank;
	} else if (s->audited == NONE) {
		s->audited = *rank;
	}
	return s->enforced != NONE && s->audited != NONE;
}
LOOP_BODY(call_step, struct call_search)

/* Sends a record with the acting program, its parent's and the working directory, where buffers are free. */
static __noinline int report_actor(struct record *r)
{
	struct task_struct *task = bpf_get_current_task_btf();
	u32 end = 0, slot, which;
	if (!r)
		return 0;
	describe_actor(r, task);
	if (!within_allowance(r->cgroup)) {
		suppress(r);
		return 0;
	}
	slot = take_slot();
	which = PATH_BUFFER(slot, 0);
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (slot == NO_SLOT || !out || !buffer) {
		send(r, sizeof(*r));
		return 0;
	}
	out->head = *r;
	struct file *actor = BPF_CORE_READ(task, mm, exe_file);
	if (actor) {
		u32 offset = file_path(actor, which);
		out->head.path_length = append(out, &end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, PATH_LIMIT);
	}
	append_surroundings(out, &end, buffer, which, task, BPF_CORE_READ(task, real_parent, mm, exe_file));
	if (end <= 2 * (PATH_LIMIT + ARGUMENTS_KEPT))
		send(out, sizeof(*r) + end);
	give_slot(slot);
	return 0;
}

/* Judges a call or the use of a capability by the rules about it; whether it is refused. */
static __noinline int judge_number(struct container *c, u64 cgroup, u32 kind, u32 number, u32 reported)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (!c)
		return 0;
	u32 profile = c->profile;
	struct number_key key = { .profile = profile, .kind = kind, .number = number };
	struct lists *found = bpf_map_lookup_elem(&numbers, &key);
	if (!found)
		return 0;
	/* The runtime, on its way into the container. */
	struct task_state *state = state_of(task);
	if (state && state->role == ROLE_RUNTIME)
		return 0;
	struct call_search s = { .offset = found->match_offset, .enforced = NONE, .audited = NONE };
	s.rules = bpf_map_lookup_elem(&rules, &profile);
	s.list = bpf_map_lookup_elem(&rule_lists, &profile);
	if (!s.rules || !s.list)
		return 0;
	LOOP(found->match_count, call_step, &s);

	u32 outcome = OUTCOME_ALLOWED;
	if (s.enforced != NONE) {
		struct rule *rule = bpf_map_lookup_elem(s.rules, &s.enforced);
		outcome = outcome_of(rule ? rule->action : ACTION_BLOCK);
	}
	if (outcome == OUTCOME_KILLED)
		bpf_send_signal(SIGKILL);
	if (reported) {
		struct record r = { .kind = kind == NUMBER_SYSCALL ? RECORD_SYSCALL : RECORD_CAPABILITY };
		r.outcome = outcome;
		r.cgroup = cgroup;
		r.generation = c->generation;
		r.enforced = s.enforced;
		r.audited = s.audited;
		r.role = state ? state->role : ROLE_UNKNOWN;
		r.number = number;
		report_actor(&r);
	}
	return outcome != OUTCOME_ALLOWED;
}

/* By what a hook is reached besides the calls that it holds. */
enum otherwise {
	NOT_OTHERWISE,
	BY_RING,                 /* by io_uring as the same act */
	BY_ANY,                  /* whatever leads here is the same act */
};

static __noinline int judge_call(enum call_hook hook, enum otherwise otherwise)
{
	u64 cgroup;
	struct container *c = container_with(NEED_CALL, &cgroup);
	if (!c)
		return 0;
	u32 number = current_call(bpf_get_current_task_btf()), profile = c->profile;
	u64 *gates = bpf_map_lookup_elem(&call_gates, &number);
	if (gates && *gates >> (hook & 63) & 1) {
		struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
		if (!p || !(p->hooked[(number >> 6) & 7] >> (number & 63) & 1))
			return 0;
	} else if (otherwise == BY_ANY || (otherwise == BY_RING && number == IO_URING_ENTER)) {
		number = OTHERWISE(hook);
	} else {
		return 0;
	}
	return judge_number(c, cgroup, NUMBER_SYSCALL, number, 1);
}

/* Or the compiler makes arithmetic of it, of which verifiers from 6.12 on do not see that it is an error or 0. */
static __always_inline int error_where(int refused)
{
	barrier_var(refused);
	return refused ? -EPERM : 0;
}

#define CALL_HOOK(name, otherwise) \
	SEC("lsm/" #name) \
	int moat_call_##name(void *ctx) { return error_where(judge_call(HOOK_##name, otherwise)); }

CALL_HOOK(bpf, NOT_OTHERWISE)
CALL_HOOK(bprm_check_security, NOT_OTHERWISE)
CALL_HOOK(capable, NOT_OTHERWISE)
CALL_HOOK(capset, NOT_OTHERWISE)
CALL_HOOK(file_alloc_security, BY_RING)
CALL_HOOK(file_ioctl, NOT_OTHERWISE)
CALL_HOOK(file_ioctl_compat, NOT_OTHERWISE)
CALL_HOOK(file_truncate, NOT_OTHERWISE)
CALL_HOOK(inode_init_security_anon, NOT_OTHERWISE)
CALL_HOOK(inode_remove_acl, NOT_OTHERWISE)
CALL_HOOK(inode_removexattr, NOT_OTHERWISE)
CALL_HOOK(inode_set_acl, BY_RING)
CALL_HOOK(inode_setxattr, BY_RING)
CALL_HOOK(key_alloc, NOT_OTHERWISE)
CALL_HOOK(key_permission, NOT_OTHERWISE)
CALL_HOOK(move_mount, NOT_OTHERWISE)
CALL_HOOK(path_chmod, NOT_OTHERWISE)
CALL_HOOK(path_chown, NOT_OTHERWISE)
CALL_HOOK(path_chroot, NOT_OTHERWISE)
CALL_HOOK(path_link, BY_RING)
CALL_HOOK(path_mkdir, BY_RING)
CALL_HOOK(path_mknod, NOT_OTHERWISE)
CALL_HOOK(path_notify, NOT_OTHERWISE)
CALL_HOOK(path_rename, BY_RING)
CALL_HOOK(path_rmdir, BY_RING)
CALL_HOOK(path_symlink, BY_RING)
CALL_HOOK(path_truncate, NOT_OTHERWISE)
CALL_HOOK(path_unlink, BY_RING)
CALL_HOOK(perf_event_open, NOT_OTHERWISE)
CALL_HOOK(ptrace_access_check, NOT_OTHERWISE)
CALL_HOOK(ptrace_traceme, NOT_OTHERWISE)
CALL_HOOK(quotactl, NOT_OTHERWISE)
CALL_HOOK(sb_mount, NOT_OTHERWISE)
CALL_HOOK(sb_pivotroot, NOT_OTHERWISE)
CALL_HOOK(sb_umount, NOT_OTHERWISE)
CALL_HOOK(settime, NOT_OTHERWISE)
CALL_HOOK(socket_accept, BY_ANY)
CALL_HOOK(socket_bind, BY_ANY)
CALL_HOOK(socket_connect, BY_ANY)
CALL_HOOK(socket_getsockopt, BY_RING)
CALL_HOOK(socket_listen, BY_ANY)
CALL_HOOK(socket_recvmsg, BY_RING)
CALL_HOOK(socket_sendmsg, BY_RING)
CALL_HOOK(socket_setsockopt, BY_RING)
CALL_HOOK(socket_shutdown, BY_ANY)
CALL_HOOK(syslog, BY_ANY)
CALL_HOOK(task_alloc, NOT_OTHERWISE)
CALL_HOOK(task_fix_setgid, NOT_OTHERWISE)
CALL_HOOK(task_fix_setuid, NOT_OTHERWISE)
CALL_HOOK(task_kill, NOT_OTHERWISE)
CALL_HOOK(task_movememory, NOT_OTHERWISE)
CALL_HOOK(task_prctl, NOT_OTHERWISE)
CALL_HOOK(task_prlimit, NOT_OTHERWISE)
CALL_HOOK(task_setioprio, NOT_OTHERWISE)
CALL_HOOK(task_setnice, NOT_OTHERWISE)
CALL_HOOK(task_setpgid, NOT_OTHERWISE)
CALL_HOOK(task_setrlimit, NOT_OTHERWISE)
CALL_HOOK(task_setscheduler, NOT_OTHERWISE)
CALL_HOOK(userns_create, NOT_OTHERWISE)

/* The kernel makes sockets for itself, too. */
SEC("lsm/socket_create")
int BPF_PROG(moat_call_socket_create, int family, int type, int protocol, int kernel)
{
	return kernel ? 0 : error_where(judge_call(HOOK_socket_create, BY_ANY));
}

#define CAP_OPT_NOAUDIT 2 /* the kernel asks for its own purposes, the task did not try anything */

/* Asked only where the task has the capability: the kernel's own module of capabilities stands first. */
SEC("lsm/capable")
int BPF_PROG(moat_lsm_capable, const struct cred *cred, struct user_namespace *namespace, int capability, unsigned int options)
{
	u64 cgroup;
	struct container *c = container_with(NEED_CAPABILITY, &cgroup);
	if (!c)
		return 0;
	return error_where(judge_number(c, cgroup, NUMBER_CAPABILITY, capability, !(options & CAP_OPT_NOAUDIT)));
}
