/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Buffers too large for the stack: SLOTS sets of them on every CPU. Tracepoint programs run with preemption off
 * and use the first. LSM programs can be preempted, and another task can enter one on the same CPU, so each takes
 * a set of its own and gives it back.
 * Each buffer has slack behind its limit, so that a masked index plus a masked length stays inside. */
#pragma once

#define SLOTS 4
#define TRACEPOINT_SLOT 0
#define NO_SLOT SLOTS

struct path_buffer {
	char head[16];           /* of a key whose text begins with the first byte */
	char bytes[2 * PATH_LIMIT]; /* the second half is never written: zeros behind the path */
	u32 mounts;              /* that the walk of the path in it passed */
	u32 cut;                 /* only the end of the path is in it */
	u64 top;                 /* the dentry at which it ended */
};

enum record_kind { RECORD_EXEC = 1, RECORD_CONNECT = 2, RECORD_SYSCALL = 3, RECORD_FILE_CALL = 4, RECORD_FILE = 5, RECORD_CAPABILITY = 6, RECORD_TAMPER = 7 };
/* As moat_event::FileOperation counts them. */
enum operation { OP_READ, OP_WRITE, OP_CREATE, OP_DELETE, OP_RENAME, OP_CHMOD, OP_CHOWN, OP_LINK, OP_TRUNCATE, OP_SETXATTR };
#define ANY_OPERATION 0xffff
enum outcome { OUTCOME_ALLOWED = 0, OUTCOME_DENIED = 1, OUTCOME_KILLED = 2, OUTCOME_KILLED_AFTER = 3 };

/* Followed by the path, the arguments (of file records: the path of the acting program), the parent's path and the
 * working directory. */
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
	u32 number;                 /* system call, capability, enum operation; port << 16 | protocol << 8 | direction */
	u32 family;
	u32 address[4];
	u64 values[2];              /* of file calls: what user space resolves; of paths, in the first: it is cut */
};
#define RECORD_BYTES (PATH_LIMIT + ARGUMENTS_KEPT + 1024)
struct record_buffer {
	struct record head;
	char bytes[3 * (PATH_LIMIT + ARGUMENTS_KEPT)];
};

/* Rules that one name of a file leads to. */
struct selection {
	struct lists path, prefix, matched;
};

struct facts {
	u64 cgroup, generation;     /* the container */
	u64 address;                /* for address_through */
	u32 profile, needs;
	u32 root_device, init_pid;
	u64 parents;                /* sets of ancestors that apply */
	u64 users;
	u64 actors;                 /* sets of programs that the acting one is in */
	u64 name_bits[4];
	u64 new_name_bits[4];       /* of what it is renamed to */
	u64 argument_bits[4];
	u64 arguments_memory;       /* struct mm_struct that no task runs in yet; 0: the current task's own */
	u64 arguments_start;
	u64 arguments_end;          /* 0: not known */
	u32 arguments_count;        /* strings, each with a NUL behind it; NONE: not known */
	u32 strings_left;           /* of them, that are still to be read */
	struct {
		u64 at;
		u64 place;          /* where the kernel finds it; 0: not known yet */
	} reading;
	struct {
		u32 state;
		u32 strings;        /* that end with a NUL and are left; 0: there are no strings, only bytes */
	} run;                      /* of an automaton */
	u32 role, source;
	u32 arguments_unreadable;
	u32 unjudged;               /* what must be known could not be read, and no rule says so */
	struct applet_scan {
		u32 position;       /* of the string among the arguments */
		u32 offset;         /* of the byte in its string */
		u32 option;         /* bytes of coreutils_option that the string began with */
		u32 length;         /* of the base name so far */
		u32 found;
	} scan;
	u32 operations;             /* of a file access, bit 1 << enum operation */
	u32 spoken_of;              /* operations of the rules that were considered */
	u32 enforced, audited;      /* best ranks so far */
	struct selection found;     /* by the name that is judged now */
	struct lists name;          /* by the base name of a program */
	struct lists above;         /* parts of globs that the new name of a directory keeps to */
	struct lists applet;
};

struct text_buffer {
	struct text_key key;
	char slack[256 - TEXT_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * SLOTS);
	__type(key, u32);
	__type(value, struct path_buffer);
} path_buffers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, u32);
	__type(value, struct record_buffer);
} record_buffers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, u32);
	__type(value, struct facts);
} all_facts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, u32);
	__type(value, struct text_buffer);
} text_keys SEC(".maps");

struct slots {
	u32 taken;
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct slots);
} all_slots SEC(".maps");

/* A set of buffers that nobody else uses on this CPU, NO_SLOT where all are in use: then nothing can be judged. */
static __always_inline u32 take_slot(void)
{
	u32 zero = 0;
	struct slots *slots = bpf_map_lookup_elem(&all_slots, &zero);
	if (!slots)
		return NO_SLOT;
	for (u32 slot = TRACEPOINT_SLOT + 1; slot < SLOTS; slot++) {
		if (!(__sync_fetch_and_or(&slots->taken, 1u << slot) & 1u << slot))
			return slot;
	}
	return NO_SLOT;
}

static __always_inline void give_slot(u32 slot)
{
	u32 zero = 0;
	struct slots *slots = bpf_map_lookup_elem(&all_slots, &zero);
	if (slots)
		__sync_fetch_and_and(&slots->taken, ~(1u << (slot & 31)));
}

/* The two path buffers of a slot. */
#define PATH_BUFFER(slot, which) ((slot) * 2 + (which))

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
