/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What user space and the programs share. Layouts are mirrored in src/programs/layout.rs, and a test compares
 * the two through BTF. */
#pragma once

#define NONE 0xffffffffu
#define NO_BIT 0xffffu
#define TEXT_MAX 248 /* longest exact path or name in a rule, see moat_policy's limit of 240 */
#define PATH_LIMIT 4096
#define ARGUMENTS_KEPT 4096

/* A container the agent knows. profile 0: nothing selects it. */
struct container {
	u64 generation;
	u32 profile;
	u32 init_pid;
	u32 root_device;         /* of the container's root file system, as the kernel numbers it */
	u32 needs;               /* of its profile */
};

/* What all rules of a container need to know about an execution, so that nothing else is looked up. */
enum need {
	NEED_NAME = 1 << 0,      /* some rule names base names */
	NEED_PATH = 1 << 1,      /* exact paths */
	NEED_PREFIX = 1 << 2,    /* directories */
	NEED_PARENT = 1 << 3,    /* ancestors by base name */
	NEED_PARENT_PATH = 1 << 4,
	NEED_USER = 1 << 5,
	NEED_SOURCE = 1 << 6,
	NEED_PATH_AUTOMATON = 1 << 7,
	NEED_NAME_AUTOMATON = 1 << 8,
	NEED_ARGUMENTS = 1 << 9,
	NEED_EXEC = 1 << 10,     /* any process or drift rule at all */
	NEED_FILE_CALLS = 1 << 11, /* where no LSM program holds them */
	NEED_FILE = 1 << 12,     /* any file rule at all */
	NEED_FILE_PREFIX = 1 << 13,
	NEED_FILE_AUTOMATON = 1 << 14,
	NEED_ACTOR = 1 << 15,    /* file rules by base name of the acting program */
	NEED_ACTOR_PATH = 1 << 16,
	NEED_ABOVE_AUTOMATON = 1 << 17,
	NEED_CALL = 1 << 24,     /* some system call that an LSM hook holds */
	NEED_CAPABILITY = 1 << 25,
	NEED_EGRESS = 1 << 26,
	NEED_LISTEN = 1 << 27,
	NEED_RAW = 1 << 28,      /* raw and packet sockets */
};

struct profile {
	u32 needs;
	u32 always_offset, always_count;
	u32 groups;              /* automata of each kind that has several, 8 bits a kind */
	/* Rules that a path too long to be known may match. */
	u32 unplaced_programs_offset, unplaced_programs_count;
	u32 unplaced_files_offset, unplaced_files_count;
	u64 traced[8];           /* bit set: this system call is judged as it begins */
	u64 hooked[8];           /* bit set: this one is judged at LSM hooks */
};

enum action { ACTION_ALERT = 0, ACTION_BLOCK = 1, ACTION_KILL_PROCESS = 2, ACTION_KILL_POD = 3, ACTION_QUARANTINE = 4 };
enum rule_flag { RULE_ENFORCED = 1, RULE_EXCEPT = 2, RULE_EXCEPT_ADDRESS = 4, RULE_EXCEPT_PORT = 8 };

/* One rule; its index in the profile's array is its rank in the total order. */
struct rule {
	u8 action;
	u8 flags;
	u8 origins;              /* bit 1 << enum role; 0: any */
	u8 sources;              /* bit 1 << enum source; 0: any */
	u16 name_bit;            /* bit of the name automaton, NO_BIT: none */
	u16 arguments_bit;
	u16 parent_bit;          /* bit of the masks of ancestors, NO_BIT: none */
	u16 user_bit;
	u16 protocols;           /* see protocol_bit() */
	u16 operations;          /* of file rules: bit 1 << enum operation */
	u16 actor_bit;           /* of file rules: bit of the masks of acting programs */
	u16 except_actor_bit;
	u16 except_user_bit;
	u16 pad;
	u32 ports_offset, ports_count;   /* pairs in the profile's lists; none: any */
	u32 except_ports_offset, except_ports_count;
};

/* Entries of lists: a rank; with this bit the rule applies only where its name bit is set. Those of AUTOMATON_ABOVE say
 * besides which part of which of the rule's globs it is: a directory that keeps to it takes nothing out of the rule. */
#define ENTRY_NEEDS_NAME 0x80000000u
#define ENTRY_RANK 0x00ffffffu
#define ENTRY_ANY_PART 0x7f000000u /* the rule has more parts than there are numbers */

struct lists {
	u32 match_offset, match_count;
	u32 except_offset, except_count;
};

/* A text of kind TEXT_ACTOR_*, a NUMBER_USER and a NUMBER_ANCESTOR_* hold a mask instead: match_offset its low word,
 * match_count its high word. */
enum text_kind {
	TEXT_PATH = 1,           /* of a program */
	TEXT_NAME = 2,
	TEXT_FILE = 5,
	TEXT_ABOVE = 6,          /* a directory that the paths of rules lie below; those by wildcards are AUTOMATON_ABOVE's */
	TEXT_ACTOR_NAME = 7,
	TEXT_ACTOR_PATH = 8,
	TEXT_RUNS = 9,           /* of objects only; instead of lists, enum runs */
};
struct text_key {
	u32 profile;
	u16 kind;
	u16 length;
	char text[TEXT_MAX];
};
#define TEXT_HEAD 8          /* what stands before the text */
/* A short text has a short key, the beginning of that: the kernel reads all of a key, and keeps it. */
#define TEXT_SHORT 24
#define TEXT_MIDDLE 56
struct short_text_key {
	char bytes[TEXT_HEAD + TEXT_SHORT];
};
struct middle_text_key {
	char bytes[TEXT_HEAD + TEXT_MIDDLE];
};
struct prefix_key {
	u32 bits;                /* of everything after this field */
	u32 profile;
	u32 kind;                /* TEXT_PATH or TEXT_FILE */
	char text[TEXT_MAX];
};
#define PREFIX_HEAD 12       /* what stands before the text */
/* A file that rules name by exact paths, whatever it is called by now. */
struct object_key {
	u32 profile;
	u32 kind;                /* TEXT_PATH, TEXT_FILE, TEXT_NAME or TEXT_RUNS */
	u64 inode;
	u32 device;              /* as the kernel numbers it */
	u32 place;               /* of several names that rules have for it */
};
#define OBJECT_NAMES 16
struct number_key {
	u32 profile;
	u32 kind;
	u64 number;
};
enum number_kind {
	NUMBER_USER = 1,
	NUMBER_SYSCALL = 2,
	NUMBER_CAPABILITY = 3,
	NUMBER_ANCESTOR_NAME = 4, /* struct program */
	NUMBER_ANCESTOR_PATH = 5,
};
struct address_key {
	u32 bits;
	u32 profile;
	u32 family;              /* 4 or 6 */
	u32 address[4];          /* network order; IPv4 in the first word */
};

enum automaton_kind { AUTOMATON_PATH = 0, AUTOMATON_NAME = 1, AUTOMATON_ARGUMENTS = 2, AUTOMATON_FILE = 3, AUTOMATON_ABOVE = 4 };
#define GROUPS 8             /* expressions that one automaton cannot hold together are spread over several */
/* profile, group and kind */
#define AUTOMATON_KEY(profile, kind, group) ((u64)(profile) << 32 | (group) << 8 | (kind))
struct automaton {
	u32 start, end_class, min_match;
	u32 stride;
	u32 match_base;          /* index of the first match entry in the table */
	u32 size;
	u8 classes[256];
};
#define MASK_WORDS 8         /* 256 expressions an automaton */

enum role { ROLE_UNKNOWN = 0, ROLE_RUNTIME = 1, ROLE_ENTRYPOINT = 2, ROLE_SESSION = 3, ROLE_HELD = 4 };
/* Programs that run other files than their own. */
enum runs { RUNS_LOADER = 1, RUNS_INTERPRETER = 2, RUNS_APPLETS = 4 };
/* What a task is to its container; inherited by its children. */
struct task_state {
	u64 host_root;           /* of a runtime task: the root directory it started with */
	u32 role;
	u32 runs;                /* enum runs: of the program that it executed last */
	u64 cgroup;              /* of its container, wherever it has gone since; 0: not in one yet */
};

/* What a program is called, as hashes of its base name and its path: those of texts that rules may have. 0: no such text. */
struct program {
	u64 name, path;
};
#define KEPT_ANCESTORS 16
/* Which programs made a task, its ancestors as they were then. */
struct lineage {
	u64 executable;          /* the file that `own` is about; 0: none yet */
	struct program own;
	u32 count;
	u32 too_many;            /* different programs: what cannot be kept counts as any */
	struct program ancestors[KEPT_ANCESTORS];
};

struct hold {
	u64 cgroup;
	u64 started;             /* boot time in ns: tells a reused pid apart */
};

enum counter {
	COUNTER_RING_FULL,
	COUNTER_SUPPRESSED,
	COUNTER_STORAGE_BUSY,    /* kept in a fallback */
	COUNTER_STORAGE_LOST,
	COUNTER_HOLDS_FULL,
	COUNTER_UNREADABLE,      /* arguments that could not be read: judged as matching */
	COUNTER_SLOTS_TAKEN,     /* acts that were refused because no buffers were free to judge them */
	COUNTER_UNHELD,          /* container starts that did not wait, for no agent was there */
	COUNTER_LINEAGE_LOST,    /* tasks whose ancestors could not be kept: the kernel's tree has to do */
	COUNTERS,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, u64);
	__type(value, struct container);
} containers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, u32);
	__type(value, struct profile);
} profiles SEC(".maps");

struct rules_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct rule));
};
struct words_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_INNER_MAP);
	__uint(max_entries, 1);
	__uint(key_size, 4);
	__uint(value_size, 4);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__array(values, struct rules_map);
} rules SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__uint(key_size, 4);
	__uint(value_size, 4);
	__array(values, struct words_map);
} rule_lists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__uint(key_size, 8);
	__uint(value_size, 4);
	__array(values, struct words_map);
} automaton_tables SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 17);
	__type(key, u64);        /* AUTOMATON_KEY */
	__type(value, struct automaton);
} automata SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct text_key);
	__type(value, struct lists);
} texts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct middle_text_key);
	__type(value, struct lists);
} middle_texts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct short_text_key);
	__type(value, struct lists);
} short_texts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct prefix_key);
	__type(value, struct lists);
} prefixes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct object_key);
	__type(value, struct lists);
} objects SEC(".maps");

/* User space adds one whenever it has changed `objects`: what was found there before is looked up again. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u32);
} object_changes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct number_key);
	__type(value, struct lists);
} numbers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct address_key);
	__type(value, struct lists);
} addresses SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct task_state);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lineage);
} lineages SEC(".maps");

/* Tasks whose storage could not be made at that moment: the kernel refuses it while another task on the same
 * processor is within it. No task may lose what it is for that. */
struct fallback {
	struct task_state state;
	u64 started;             /* boot time in ns: tells a reused pid apart */
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);        /* thread */
	__type(value, struct fallback);
} fallbacks SEC(".maps");
u32 fallbacks_used;

/* Base names of OCI runtimes. */
struct runtime_name {
	char name[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32);
	__type(key, struct runtime_name);
	__type(value, u32);
} runtimes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 14);
	__type(key, u32);
	__type(value, struct hold);
} holds SEC(".maps");

/* The agent that lets held starts go: without a sign of life no more are held. What it pins outlives it. */
#define AGENT_GONE 30000000000ull /* ns */
struct agent {
	u64 beat;                /* its last sign of life, monotonic time in ns */
	u64 waits;               /* 0: it has ended */
	u64 told[COUNTERS];      /* of each counter, what it has told of; read by the next agent */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct agent);
} agent SEC(".maps");

/* The cgroup of the pod that the agent lives in, 0 where it lives in none. What starts there may be the agent, and would
 * wait for itself. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} agent_pod SEC(".maps");

/* Held starts have a ring of their own, so that no flood of events delays a start. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} hold_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTERS);
	__type(key, u32);
	__type(value, u64);
} counters SEC(".maps");

/* Records a container may send a second; what is above is counted by rule. */
struct allowance {
	u64 second;
	u64 sent;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, u64);
	__type(value, struct allowance);
} allowances SEC(".maps");

struct suppressed_key {
	u64 cgroup;
	u64 generation;
	u32 enforced;
	u32 audited;
	u32 kind;
	u32 outcome;
};
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 14);
	__type(key, struct suppressed_key);
	__type(value, u64);
} suppressed SEC(".maps");
