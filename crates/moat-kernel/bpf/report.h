/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Sends records to user space. Nothing here changes a verdict. */
#pragma once

#define RECORDS_A_SECOND 2000

/* Whether a container has sent fewer than `limit` in the span of so many seconds that has begun, this one not counted. */
static __always_inline bool has_room(void *all, u64 cgroup, u64 span, u64 limit)
{
	u64 now = bpf_ktime_get_ns() / (span * 1000000000ull);
	struct allowance *a = bpf_map_lookup_elem(all, &cgroup);
	if (!a) {
		struct allowance first = { .second = now, .sent = 1 };
		bpf_map_update_elem(all, &cgroup, &first, BPF_ANY);
		return true;
	}
	if (a->second != now) {
		a->second = now;
		a->sent = 0;
	}
	return __sync_fetch_and_add(&a->sent, 1) < limit;
}

/* One container cannot fill the ring: above its allowance records are counted by rule. */
static __always_inline bool within_allowance(u64 cgroup)
{
	return has_room(&allowances, cgroup, 1, RECORDS_A_SECOND);
}

static __always_inline void suppress(struct record *r)
{
	struct suppressed_key key = {
		.cgroup = r->cgroup,
		.generation = r->generation,
		.enforced = r->enforced,
		.audited = r->audited,
		.kind = r->kind,
		.outcome = r->outcome,
	};
	u64 one = 1, *value = bpf_map_lookup_elem(&suppressed, &key);
	count(COUNTER_SUPPRESSED);
	if (value)
		__sync_fetch_and_add(value, 1);
	else if (bpf_map_update_elem(&suppressed, &key, &one, BPF_NOEXIST))
		count(COUNTER_RING_FULL);
}

static __always_inline void send(void *data, u64 size)
{
	if (bpf_ringbuf_output(&records, data, size, 0))
		count(COUNTER_RING_FULL);
}

/* Appends at *end, at most `limit` bytes (a power of two); returns what was appended. */
static __always_inline u32 append(struct record_buffer *b, u32 *end, const void *from, u32 length, u32 limit)
{
	u32 at = *end;
	if (length > limit)
		length = limit;
	if (at >= 2 * (PATH_LIMIT + ARGUMENTS_KEPT) || !length)
		return 0;
	barrier_var(length); /* or masks are optimised away, and with them the proof for older verifiers */
	if (length == limit ? bpf_probe_read_kernel(b->bytes + at, limit, from) :
			      bpf_probe_read_kernel(b->bytes + at, length & (limit - 1), from))
		return 0;
	*end = at + length;
	return length;
}

/* The parent's path and the working directory. */
static __always_inline void append_surroundings(struct record_buffer *out, u32 *end, struct path_buffer *buffer, u32 which, struct task_struct *task, struct file *parent)
{
	struct record *r = &out->head;
	u32 offset;
	if (parent) {
		offset = file_path(parent, which);
		r->parent_length = append(out, end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, 512);
	}
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	offset = path_walk((u64)BPF_CORE_READ(fs, pwd.dentry), (u64)BPF_CORE_READ(fs, pwd.mnt), which);
	r->directory_length = append(out, end, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset, 512);
}

static __always_inline void describe_actor(struct record *r, struct task_struct *task)
{
	r->pid = BPF_CORE_READ(task, tgid);
	r->parent_pid = BPF_CORE_READ(task, real_parent, tgid);
	r->uid = BPF_CORE_READ(task, cred, uid.val);
}
