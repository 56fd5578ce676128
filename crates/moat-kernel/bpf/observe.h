/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What containers execute and whom they connect to, whether or not a rule speaks of it: for the console's inventory. Nothing
 * is decided here, and nothing here costs an event: the ring is another one. What is alike is told once and counted from
 * then on, until the agent has taken the count and forgets it (src/programs/observer.rs). */
#pragma once

#define TCP_SYN_SENT 2
#define TCP_CLOSE 7

#define OBSERVED_MAX (1 << 14)
#define OBSERVED_SPAN 10     /* seconds */
#define OBSERVED_AT_ONCE 500 /* different ones that a container may do in such a span; more are lost */

/* What is alike. */
struct observed_key {
	u64 cgroup;
	u32 kind;                /* RECORD_EXEC or RECORD_CONNECT */
	u32 number;              /* of a program its file's device; of a connection as in struct record */
	u64 words[2];            /* of a program its file's inode, and a hash of how it was executed; of a connection its peer */
};
struct observed {
	u64 since;               /* when it was told, monotonic time in ns */
	u64 more;                /* how often it was done after that */
};
/* Preallocated and not LRU: what has no room is lost and counted, and no count goes unheard. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, OBSERVED_MAX);
	__type(key, struct observed_key);
	__type(value, struct observed);
} observed SEC(".maps");

/* Of each a struct record, the texts behind it, and its struct observed_key. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} observations SEC(".maps");

struct observing {
	u64 seed;                /* of hashes: no container may choose what counts as alike */
	u64 lost;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct observing);
} observing SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, u64);
	__type(value, struct allowance);
} observed_allowances SEC(".maps");

static __always_inline void lose(struct observing *own)
{
	__sync_fetch_and_add(&own->lost, 1);
}

/* Whether it is to be told; else it is counted. */
static __always_inline bool is_new(struct observing *own, struct observed_key *key)
{
	struct observed *known = bpf_map_lookup_elem(&observed, key);
	if (!known) {
		struct observed fresh = { .since = bpf_ktime_get_ns() };
		if (!has_room(&observed_allowances, key->cgroup, OBSERVED_SPAN, OBSERVED_AT_ONCE)) {
			lose(own);
			return false;
		}
		if (!bpf_map_update_elem(&observed, key, &fresh, BPF_NOEXIST))
			return true;
		/* Another processor came first, or there is no room. */
		known = bpf_map_lookup_elem(&observed, key);
	}
	if (known)
		__sync_fetch_and_add(&known->more, 1);
	else
		lose(own);
	return false;
}

static __always_inline void tell(struct observing *own, struct observed_key *key, void *data, u64 size)
{
	if (!bpf_ringbuf_output(&observations, data, size, 0))
		return;
	/* It is new again the next time. */
	bpf_map_delete_elem(&observed, key);
	lose(own);
}

/* The container of the current task, where the task is the container's own: not the runtime on its way in, and not about
 * to be killed. */
static __always_inline struct container *observed_container(struct task_struct *task, u64 *cgroup, u32 *role)
{
	struct container *c = NULL;
	if (!may_be_contained(task))
		return NULL;
	*cgroup = current_container(task, &c);
	if (!c || task->pending.signal.sig[0] >> (SIGKILL - 1) & 1)
		return NULL;
	struct task_state *state = state_of(task);
	*role = state ? state->role : ROLE_UNKNOWN;
	return *role == ROLE_RUNTIME ? NULL : c;
}

static __always_inline u64 mix(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

/* A hash of what tells executions of one file apart: by whom, by which program, and the arguments as far as records keep
 * them. */
__noinline u64 execution_hash(u64 seed, u32 role)
{
	u32 zero = PATH_BUFFER(TRACEPOINT_SLOT, 0);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &zero);
	if (!buffer)
		return 0;
	u64 start = BPF_CORE_READ(task, mm, arg_start), length = BPF_CORE_READ(task, mm, arg_end) - start;
	u64 hash = mix(seed, (u64)BPF_CORE_READ(task, cred, uid.val) << 32 | role);
	hash = mix(hash, BPF_CORE_READ(task, real_parent, mm, exe_file, f_inode, i_ino));
	hash = mix(hash, length);
	if (length > ARGUMENTS_KEPT)
		length = ARGUMENTS_KEPT;
	barrier_var(length); /* or the check below goes, and with it the proof for older verifiers */
	if (length > ARGUMENTS_KEPT || bpf_probe_read_user(buffer->bytes, length, (void *)start))
		return hash;
	*(u64 *)(buffer->bytes + length) = 0;
	for (u32 at = 0; at < ARGUMENTS_KEPT; at += sizeof(u64)) {
		if (at >= length)
			break;
		hash = mix(hash, *(u64 *)(buffer->bytes + at));
	}
	return hash;
}

/* Tells of an execution of the file whose dentry and mount these are. */
static __noinline int observe_exec(struct observing *own, struct observed_key *key, u64 dentry, u64 mount)
{
	u32 slot = TRACEPOINT_SLOT, one = PATH_BUFFER(slot, 1);
	struct record_buffer *out = bpf_map_lookup_elem(&record_buffers, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &one);
	if (!own || !key || !out || !buffer)
		return 0;
	u32 end = describe_exec(slot, out, buffer, dentry, mount);
	append(out, &end, key, sizeof(*key), sizeof(*key));
	if (end <= 2 * (PATH_LIMIT + ARGUMENTS_KEPT))
		tell(own, key, out, sizeof(out->head) + end);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(moat_observe_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	u32 zero = 0, slot = TRACEPOINT_SLOT, role = ROLE_UNKNOWN;
	struct observed_key key = { .kind = RECORD_EXEC };
	struct container *c = observed_container(task, &key.cgroup, &role);
	struct observing *own = bpf_map_lookup_elem(&observing, &zero);
	if (!c || !own)
		return 0;
	struct path path = BPF_CORE_READ(bprm, file, f_path);
	u64 dentry = (u64)path.dentry;
	struct inode *inode = BPF_CORE_READ((struct dentry *)dentry, d_inode);
	key.number = BPF_CORE_READ(inode, i_sb, s_dev);
	key.words[0] = BPF_CORE_READ(inode, i_ino);
	key.words[1] = execution_hash(own->seed, role);
	if (!is_new(own, &key))
		return 0;
	struct facts *f = new_facts(slot, c, key.cgroup, role == ROLE_HELD ? ROLE_UNKNOWN : role);
	if (!f)
		return 0;
	own_arguments(f, BPF_CORE_READ(bprm, argc));
	f->source = source_of(dentry, f->root_device);
	if (new_record(slot, f, RECORD_EXEC, OUTCOME_ALLOWED))
		observe_exec(own, &key, dentry, (u64)path.mnt);
	return 0;
}

struct observed_connection {
	struct record record;
	struct observed_key key;
};

/* TCP alone: nothing but a program at every datagram would see the others. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(moat_observe_connect, struct sock *sk, int before, int state)
{
	/* Only here the task that connects is the current one. */
	if (before != TCP_CLOSE || state != TCP_SYN_SENT)
		return 0;
	u32 zero = 0, role = ROLE_UNKNOWN;
	u64 cgroup;
	struct peer p = { .family = sk->__sk_common.skc_family };
	struct task_struct *task = bpf_get_current_task_btf();
	struct container *c = observed_container(task, &cgroup, &role);
	struct observing *own = bpf_map_lookup_elem(&observing, &zero);
	if (!c || !own || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (p.family == AF_INET6) {
		BPF_CORE_READ_INTO(&p.address, sk, __sk_common.skc_v6_daddr);
		unmap_address(&p);
	} else if (p.family == AF_INET) {
		p.address[0] = sk->__sk_common.skc_daddr;
	} else {
		return 0;
	}
	struct observed_connection told = {};
	struct record *r = &told.record;
	r->kind = RECORD_CONNECT;
	r->cgroup = cgroup;
	r->enforced = r->audited = NONE;
	r->number = (u32)bpf_ntohs(sk->__sk_common.skc_dport) << 16 | IPPROTO_TCP << 8 | EGRESS;
	r->family = p.family;
	r->address[0] = p.address[0];
	r->address[1] = p.address[1];
	r->address[2] = p.address[2];
	r->address[3] = p.address[3];
	told.key.cgroup = cgroup;
	told.key.kind = RECORD_CONNECT;
	told.key.number = r->number;
	told.key.words[0] = p.address[0] | (u64)p.address[1] << 32;
	told.key.words[1] = p.address[2] | (u64)p.address[3] << 32;
	if (is_new(own, &told.key)) {
		describe_actor(r, task);
		tell(own, &told.key, &told, sizeof(told));
	}
	return 0;
}
