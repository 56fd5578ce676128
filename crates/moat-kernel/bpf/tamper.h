/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What no container may do whatever its rules say: act on the agent, on what Moat has in the kernel, or leave its own
 * cgroup. Judged only for tasks in known containers: the node itself, and who administers it, are free. */
#pragma once

/* Thread groups of agents. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u8);
} agents SEC(".maps");

/* Ids of our maps. Those of rules, which come and go, are told by their names. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u8);
} own_maps SEC(".maps");

enum tampering {
	TAMPER_SIGNAL = 1,       /* a signal to the agent */
	TAMPER_TRACE,            /* the agent's memory, descriptors, or tracing it */
	TAMPER_LIMITS,           /* the agent's resource limits */
	TAMPER_OBJECT,           /* a map, program or link of ours */
	TAMPER_PIN,              /* what keeps them when there is no agent */
	TAMPER_CGROUP,           /* out of the cgroup that tells the container */
};

static __always_inline int refuse_tampering(struct container *c, u64 cgroup, enum tampering what, u32 outcome)
{
	struct record r = { .kind = RECORD_TAMPER, .outcome = outcome, .enforced = NONE, .audited = NONE };
	r.cgroup = cgroup;
	r.generation = c ? c->generation : 0;
	r.number = what;
	report_actor(&r);
	return -EPERM;
}

static __always_inline bool is_agent(struct task_struct *task)
{
	u32 process = BPF_CORE_READ(task, tgid);
	return bpf_map_lookup_elem(&agents, &process);
}

/* The container of the current task, where it has any rules. */
static __always_inline struct container *tampering_container(u64 *cgroup)
{
	struct container *c;
	*cgroup = current_container(bpf_get_current_task_btf(), &c);
	return c && c->profile ? c : NULL;
}

static __noinline int guard_agent(struct task_struct *target, enum tampering what)
{
	u64 cgroup;
	struct container *c;
	if (!target || !is_agent(target))
		return 0;
	c = tampering_container(&cgroup);
	return c ? refuse_tampering(c, cgroup, what, OUTCOME_DENIED) : 0;
}

SEC("lsm/task_kill")
int BPF_PROG(moat_tamper_kill, struct task_struct *target)
{
	return error_where(guard_agent(target, TAMPER_SIGNAL));
}

/* By a file's owner (F_SETOWN): whoever writes to it sends the signal. */
SEC("lsm/file_send_sigiotask")
int BPF_PROG(moat_tamper_sigio, struct task_struct *target)
{
	return error_where(guard_agent(target, TAMPER_SIGNAL));
}

SEC("lsm/ptrace_access_check")
int BPF_PROG(moat_tamper_trace, struct task_struct *target)
{
	return error_where(guard_agent(target, TAMPER_TRACE));
}

SEC("lsm/task_setrlimit")
int BPF_PROG(moat_tamper_limit, struct task_struct *target)
{
	return error_where(guard_agent(target, TAMPER_LIMITS));
}

static __always_inline bool is_named_ours(const char *name)
{
	return name[0] == 'm' && name[1] == 'o' && name[2] == 'a' && name[3] == 't' && name[4] == '_';
}

static __noinline int guard_objects(void)
{
	u64 cgroup;
	struct container *c = tampering_container(&cgroup);
	return c ? refuse_tampering(c, cgroup, TAMPER_OBJECT, OUTCOME_DENIED) : 0;
}

/* By number or by pin: this comes before either gives a descriptor. */
SEC("lsm/bpf_map")
int BPF_PROG(moat_tamper_map, struct bpf_map *map)
{
	char name[16] = {};
	u32 id = BPF_CORE_READ(map, id);
	BPF_CORE_READ_INTO(&name, map, name);
	return is_named_ours(name) || bpf_map_lookup_elem(&own_maps, &id) ? error_where(guard_objects()) : 0;
}

SEC("lsm/bpf_prog")
int BPF_PROG(moat_tamper_program, struct bpf_prog *program)
{
	char name[16] = {};
	BPF_CORE_READ_INTO(&name, program, aux, name);
	return is_named_ours(name) ? error_where(guard_objects()) : 0;
}

#define BPF_LINK_UPDATE 29
#define BPF_LINK_GET_FD_BY_ID 30
#define BPF_LINK_DETACH 34

/* The kernel asks nobody about one link: no container reaches any by its number, or changes one. */
SEC("lsm/bpf")
int BPF_PROG(moat_tamper_link, int command)
{
	if (command != BPF_LINK_GET_FD_BY_ID && command != BPF_LINK_UPDATE && command != BPF_LINK_DETACH)
		return 0;
	return error_where(guard_objects());
}

#define BPF_FS_MAGIC 0xcafe4a11
#define PIN_DEPTH 8

/* Whether this is the folder of our pins, or something in it. */
static __noinline bool is_pin(struct dentry *dentry)
{
	if (BPF_CORE_READ(dentry, d_sb, s_magic) != BPF_FS_MAGIC)
		return false;
	for (int depth = 0; depth < PIN_DEPTH; depth++) {
		char name[8] = {};
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);
		bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(dentry, d_name.name));
		if (name[0] == 'm' && name[1] == 'o' && name[2] == 'a' && name[3] == 't' && !name[4])
			return true;
		if (parent == dentry)
			return false;
		dentry = parent;
	}
	return false;
}

static __noinline int guard_pin(struct dentry *dentry)
{
	u64 cgroup;
	struct container *c = tampering_container(&cgroup);
	return c && dentry && is_pin(dentry) ? refuse_tampering(c, cgroup, TAMPER_PIN, OUTCOME_DENIED) : 0;
}

SEC("lsm/inode_unlink")
int BPF_PROG(moat_tamper_unlink, struct inode *directory, struct dentry *dentry)
{
	return error_where(guard_pin(dentry));
}

SEC("lsm/inode_rmdir")
int BPF_PROG(moat_tamper_rmdir, struct inode *directory, struct dentry *dentry)
{
	return error_where(guard_pin(dentry));
}

SEC("lsm/inode_rename")
int BPF_PROG(moat_tamper_rename, struct inode *from, struct dentry *old, struct inode *to, struct dentry *new)
{
	return error_where(guard_pin(old) || guard_pin(new));
}

#define CLONE_INTO_CGROUP 0x200000000ull

/* Which cgroup cannot be seen here; callers move the child themselves where this is refused. */
SEC("lsm/task_alloc")
int BPF_PROG(moat_tamper_clone, struct task_struct *child, unsigned long flags)
{
	u64 cgroup;
	if (!(flags & CLONE_INTO_CGROUP))
		return 0;
	struct container *c = tampering_container(&cgroup);
	return error_where(c ? refuse_tampering(c, cgroup, TAMPER_CGROUP, OUTCOME_DENIED) : 0);
}

/* The container that a task belongs to, wherever it has gone, where that has any rules. */
static __always_inline struct container *ruled_home(struct task_struct *task, u64 *cgroup)
{
	struct task_state *state = state_of(task);
	if (!state || (state->role != ROLE_ENTRYPOINT && state->role != ROLE_SESSION))
		return NULL;
	*cgroup = state->cgroup;
	struct container *c = bpf_map_lookup_elem(&containers, cgroup);
	return c && c->profile ? c : NULL;
}

/* The move has been made, and no hook comes before it: who moved does not live to use it. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(moat_tamper_move, struct cgroup *to, const char *path, struct task_struct *task)
{
	u64 home, movers;
	if (settings.cgroup_v1_controller >= 0)
		return 0;
	struct container *c = ruled_home(bpf_get_current_task_btf(), &movers);
	if (!c || !ruled_home(task, &home))
		return 0;
	u64 known = BPF_CORE_READ(to, kn, id);
	if (cgroup_of(task) != to || container_of_cgroup(&known))
		return 0;
	bpf_send_signal(SIGKILL);
	/* The agent ends what was moved. */
	struct record r = { .kind = RECORD_TAMPER, .outcome = OUTCOME_KILLED, .enforced = NONE, .audited = NONE };
	r.cgroup = movers;
	r.generation = c->generation;
	r.number = TAMPER_CGROUP;
	r.values[0] = BPF_CORE_READ(task, tgid);
	describe_actor(&r, bpf_get_current_task_btf());
	send(&r, sizeof(r));
	return 0;
}
