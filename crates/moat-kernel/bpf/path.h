/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Absolute paths, by walking dentries and mounts up to the root of the task's namespace. */
#pragma once

/* Marks an address as a kernel structure that may be read directly, from 6.2 on. Elsewhere each field is a call. */
extern void *bpf_rdonly_cast(const void *address, u32 btf_id) __ksym __weak;
#define TYPED(type, address) ((struct type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(struct type)))

/* One field of the kernel's structure at an address. What gives the address is no access to a kernel's structure. */
#define FIELD(type, address, field) ({ \
	u64 address_of_field = (u64)(address); \
	bpf_ksym_exists(bpf_rdonly_cast) ? TYPED(type, address_of_field)->field : \
					   BPF_CORE_READ((struct type *)address_of_field, field); \
})

#define PATH_DEPTH 4096 /* components and mounts: no path of PATH_LIMIT bytes has more of both */

struct walk {
	u64 dentry;
	u64 mount;               /* struct mount; 0: stay within the file system */
	char *bytes;
	u32 offset;
	u32 mounts;
	u32 cut;
};

#define WORDS_COPIED 4       /* more are a helper's work, whose call costs as much as these */

/* One component to the front of what is there. */
static __always_inline bool put_name(struct walk *w, u32 length, const unsigned char *name)
{
	if (length > 255 || w->offset < length + 1)
		return false;
	u32 offset = (w->offset - length) & (PATH_LIMIT - 1);
	if (bpf_ksym_exists(bpf_rdonly_cast) && length <= WORDS_COPIED * 8 && w->offset > WORDS_COPIED * 8) {
		/* From the end on, word by word: what the last one has too much of lies in front of the name, in the
		 * same structure there and still free here. */
		for (u32 word = 1; word <= WORDS_COPIED && word * 8 < length + 8; word++) {
			u32 at = (w->offset - word * 8) & (PATH_LIMIT - 1);
			*(u64 *)(w->bytes + at) = TYPED(timespec64, (u64)name + length - word * 8)->tv_sec;
		}
	} else {
		bpf_probe_read_kernel(w->bytes + offset, length & 255, name);
	}
	offset = (offset - 1) & (PATH_LIMIT - 1);
	w->bytes[offset] = '/';
	w->offset = offset;
	return true;
}

static long walk_step(u32 i, struct walk *w)
{
	if (w->mount && w->dentry == (u64)FIELD(mount, w->mount, mnt.mnt_root)) {
		u64 above = (u64)FIELD(mount, w->mount, mnt_parent);
		w->mounts++;
		if (above == w->mount)
			return 1;
		w->dentry = (u64)FIELD(mount, w->mount, mnt_mountpoint);
		w->mount = above;
		return 0;
	}
	u64 parent = (u64)FIELD(dentry, w->dentry, d_parent);
	u32 length = FIELD(dentry, w->dentry, d_name.len);
	const unsigned char *name = FIELD(dentry, w->dentry, d_name.name);
	/* The top of a file system, or a file without a name in any directory, is its own parent. */
	if (parent == w->dentry) {
		if (w->mount)
			put_name(w, length, name);
		return 1;
	}
	if (!put_name(w, length, name)) {
		w->cut = 1;
		return 1;
	}
	w->dentry = parent;
	return 0;
}
LOOP_BODY(walk_step, struct walk)

static __always_inline u64 real_mount(u64 vfsmount)
{
	return vfsmount - bpf_core_field_offset(struct mount, mnt);
}

/* Writes the path as the container sees it, without a final NUL, at the end of the first PATH_LIMIT bytes of path
 * buffer `which`; returns the offset of its first byte. The container's root is the namespace's, not a chroot's: a
 * process cannot change its paths by changing its root. Without a mount it is the path within the file system.
 *
 * Functions that are not static are verified once and not at every call: that keeps loading quick. They take
 * numbers: `dentry` and `vfsmount` are addresses. */
__noinline u32 path_walk(u64 dentry, u64 vfsmount, u32 which)
{
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (!buffer)
		return PATH_LIMIT;
	struct walk w = { .dentry = dentry, .offset = PATH_LIMIT, .bytes = buffer->bytes };
	if (vfsmount)
		w.mount = real_mount(vfsmount);
	LOOP(PATH_DEPTH, walk_step, &w);
	if (w.offset == PATH_LIMIT) {
		w.offset = PATH_LIMIT - 1;
		buffer->bytes[PATH_LIMIT - 1] = '/';
	}
	buffer->mounts = w.mounts;
	buffer->cut = w.cut;
	buffer->top = w.dentry;
	return w.offset;
}

/* A pointer as the number that functions of their own take. */
static __always_inline u64 address_of(const void *pointer)
{
	u64 address = 0;
	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

/* The same where there is a place that only this program uses: two instructions instead of a call. */
static __always_inline u64 address_through(u64 *place, const void *pointer)
{
	*(const void *volatile *)place = pointer;
	return *(volatile u64 *)place;
}

static __always_inline u32 file_path(struct file *file, u32 which)
{
	return path_walk((u64)BPF_CORE_READ(file, f_path.dentry), (u64)BPF_CORE_READ(file, f_path.mnt), which);
}
