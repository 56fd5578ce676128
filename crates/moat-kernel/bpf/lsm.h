/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What every LSM program does: find out whether the task is in a container with rules of its kind, judge with
 * buffers of its own, and return the verdict itself. A verdict never passes through a map. */
#pragma once


/* The container of the current task, where its rules need any of `needs`. */
static __always_inline struct container *container_with(u32 needs, u64 *cgroup)
{
	struct container *c;
	*cgroup = current_container(bpf_get_current_task_btf(), &c);
	return c && c->needs & needs ? c : NULL;
}

/* What the current task is to its container, as of now: the runtime's child that has entered it is what it is
 * about to become. ROLE_RUNTIME: not the container's yet, nothing is judged. */
static __always_inline u32 current_role(u32 init_pid)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_state *state = state_of(task);
	if (!state)
		return ROLE_UNKNOWN;
	if (state->role == ROLE_HELD)
		return ROLE_UNKNOWN;
	if (state->role != ROLE_RUNTIME || state->host_root == (u64)BPF_CORE_READ(task, fs, root.dentry))
		return state->role;
	return BPF_CORE_READ(task, tgid) == init_pid ? ROLE_ENTRYPOINT : ROLE_SESSION;
}

/* What becomes of an act by the action of the enforced rule about it. */
static __always_inline u32 outcome_of(u32 action)
{
	return action == ACTION_ALERT ? OUTCOME_ALLOWED : action == ACTION_BLOCK ? OUTCOME_DENIED : OUTCOME_KILLED;
}

/* The verdict. A signal sent here is taken before the task is back in user mode. */
static __always_inline int verdict(u32 outcome)
{
	if (outcome == OUTCOME_ALLOWED)
		return 0;
	if (outcome == OUTCOME_KILLED)
		bpf_send_signal(SIGKILL);
	return -EPERM;
}

/* No buffers are free to judge with: refused, for what is not judged is not allowed. */
static __always_inline int refuse_unjudged(void)
{
	count(COUNTER_SLOTS_TAKEN);
	return -EPERM;
}
