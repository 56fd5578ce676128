/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Buffers too large for the stack. Per CPU: the tracepoint programs that use them run with preemption off.
 * Each buffer has slack behind its limit, so that a masked index plus a masked length stays inside. */
#pragma once

struct path_buffer {
	char bytes[2 * PATH_LIMIT];
};

enum record_kind { RECORD_EXEC = 1, RECORD_CONNECT = 2, RECORD_SYSCALL = 3, RECORD_FILE_CALL = 4 };
enum outcome { OUTCOME_ALLOWED = 0, OUTCOME_DENIED = 1, OUTCOME_KILLED = 2, OUTCOME_KILLED_AFTER = 3 };

/* Followed by the path, the arguments, the parent's path and the working directory. */
struct record {
	u32 kind;
	u32 outcome;
	u64 cgroup;
	u64 generation;
	u32 enforced, audited;      /* ranks, NONE where no rule matched */
	u32 pid, parent_pid, uid;
	u32 role, source;
	u32 path_length, arguments_length, parent_length, directory_length;
	u32 arguments_total;
	u32 number;                 /* system call; port << 16 | protocol << 8 | direction */
	u32 family;
	u32 address[4];
	u64 values[2];              /* of file calls: what user space resolves */
};
#define RECORD_BYTES (PATH_LIMIT + ARGUMENTS_KEPT + 1024)
struct record_buffer {
	struct record head;
	char bytes[3 * (PATH_LIMIT + ARGUMENTS_KEPT)];
};

struct facts {
	u64 parents;                /* sets of ancestors that apply */
	u64 users;
	u64 name_bits[4];
	u64 argument_bits[4];
	u32 role, source;
	u32 profile;
	u32 arguments_unreadable;
	u32 enforced, audited;      /* best ranks so far */
	struct lists path, prefix, name, matched;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct path_buffer);
} path_buffers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct record_buffer);
} record_buffers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct facts);
} all_facts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct text_key);
} text_keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct prefix_key);
} prefix_keys SEC(".maps");

static __always_inline void count(u32 which)
{
	u64 *value = bpf_map_lookup_elem(&counters, &which);
	if (value)
		*value += 1;
}

/* What a task is to its container; NULL for a task of the node. */
static __always_inline struct task_state *state_of(struct task_struct *task)
{
	struct task_state *state = bpf_task_storage_get(&tasks, task, NULL, 0);
	if (state || !fallbacks_used)
		return state;
	u32 thread = task->pid;
	struct fallback *kept = bpf_map_lookup_elem(&fallbacks, &thread);
	return kept && kept->started == task->start_boottime ? &kept->state : NULL;
}

static __always_inline void set_state(struct task_struct *task, struct task_state *state)
{
	if (bpf_task_storage_get(&tasks, task, state, BPF_LOCAL_STORAGE_GET_F_CREATE))
		return;
	u32 thread = task->pid;
	struct fallback kept = { .state = *state, .started = task->start_boottime };
	fallbacks_used = 1;
	count(bpf_map_update_elem(&fallbacks, &thread, &kept, BPF_ANY) ? COUNTER_STORAGE_LOST : COUNTER_STORAGE_BUSY);
}
