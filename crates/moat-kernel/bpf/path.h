/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Absolute paths, by walking dentries and mounts up to the root of the task's namespace. */
#pragma once

/* Marks an address as a kernel structure that may be read directly, from 6.2 on. Elsewhere each field is a call. */
extern void *bpf_rdonly_cast(const void *address, u32 btf_id) __ksym __weak;
#define TYPED(type, address) ((struct type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(struct type)))

#define PATH_DEPTH 4096 /* components and mounts: no path of PATH_LIMIT bytes has more of both */

struct walk {
	u64 dentry;
	u64 mount;               /* struct mount; 0: stay within the file system */
	char *bytes;
	u32 offset;
	u32 mounts;
};

/* One component to the front of what is there. */
static __always_inline bool put_name(struct walk *w, u32 length, const unsigned char *name)
{
	if (length > 255 || w->offset < length + 1)
		return false;
	u32 offset = (w->offset - length) & (PATH_LIMIT - 1);
	bpf_probe_read_kernel(w->bytes + offset, length & 255, name);
	offset = (offset - 1) & (PATH_LIMIT - 1);
	w->bytes[offset] = '/';
	w->offset = offset;
	return true;
}

static long walk_step(u32 i, struct walk *w)
{
	u64 top = 0, parent, above = 0, point = 0;
	u32 length;
	const unsigned char *name;

	if (bpf_ksym_exists(bpf_rdonly_cast)) {
		struct dentry *dentry = TYPED(dentry, w->dentry);
		parent = (u64)dentry->d_parent;
		length = dentry->d_name.len;
		name = dentry->d_name.name;
		if (w->mount) {
			struct mount *mount = TYPED(mount, w->mount);
			top = (u64)mount->mnt.mnt_root;
			above = (u64)mount->mnt_parent;
			point = (u64)mount->mnt_mountpoint;
		}
	} else {
		struct dentry *dentry = (struct dentry *)w->dentry;
		parent = (u64)BPF_CORE_READ(dentry, d_parent);
		length = BPF_CORE_READ(dentry, d_name.len);
		name = BPF_CORE_READ(dentry, d_name.name);
		if (w->mount) {
			struct mount *mount = (struct mount *)w->mount;
			top = (u64)BPF_CORE_READ(mount, mnt.mnt_root);
			above = (u64)BPF_CORE_READ(mount, mnt_parent);
			point = (u64)BPF_CORE_READ(mount, mnt_mountpoint);
		}
	}
	if (w->mount && w->dentry == top) {
		w->mounts++;
		if (above == w->mount)
			return 1;
		w->dentry = point;
		w->mount = above;
		return 0;
	}
	/* The top of a file system, or a file without a name in any directory, is its own parent. */
	if (parent == w->dentry) {
		if (w->mount)
			put_name(w, length, name);
		return 1;
	}
	if (!put_name(w, length, name))
		return 1;
	w->dentry = parent;
	return 0;
}

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
	bpf_loop(PATH_DEPTH, walk_step, &w, 0);
	if (w.offset == PATH_LIMIT) {
		w.offset = PATH_LIMIT - 1;
		buffer->bytes[PATH_LIMIT - 1] = '/';
	}
	buffer->mounts = w.mounts;
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

static __always_inline u32 file_path(struct file *file, u32 which)
{
	return path_walk((u64)BPF_CORE_READ(file, f_path.dentry), (u64)BPF_CORE_READ(file, f_path.mnt), which);
}
