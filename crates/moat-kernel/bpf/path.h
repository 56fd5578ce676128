/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Absolute paths, by walking dentries and mounts up to the root of the task's namespace. */
#pragma once

struct walk {
	struct dentry *dentry;
	struct mount *mount;
	struct dentry *root;
	struct mount *root_mount;
	char *bytes;
	u32 offset;
};

static __always_inline struct mount *real_mount(struct vfsmount *mnt)
{
	return (struct mount *)((char *)mnt - bpf_core_field_offset(struct mount, mnt));
}

static long walk_step(u32 i, struct walk *w)
{
	struct dentry *dentry = w->dentry;
	struct mount *mount = w->mount;
	struct dentry *mount_root = BPF_CORE_READ(mount, mnt.mnt_root);
	struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

	if (dentry == w->root && mount == w->root_mount)
		return 1;
	if (dentry == mount_root) {
		struct mount *above = BPF_CORE_READ(mount, mnt_parent);
		if (above == mount)
			return 1;
		w->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		w->mount = above;
		return 0;
	}
	u32 length = BPF_CORE_READ(dentry, d_name.len);
	const unsigned char *name = BPF_CORE_READ(dentry, d_name.name);
	if (length > 255 || w->offset < length + 1)
		return 1;
	u32 offset = (w->offset - length) & (PATH_LIMIT - 1);
	bpf_probe_read_kernel(w->bytes + offset, length & 255, name);
	offset = (offset - 1) & (PATH_LIMIT - 1);
	w->bytes[offset] = '/';
	w->offset = offset;
	/* A file without a name in any directory is its own parent. */
	if (parent == dentry)
		return 1;
	w->dentry = parent;
	return 0;
}

/* Writes the path as the container sees it, without a final NUL, at the end of the first PATH_LIMIT bytes of
 * path buffer `slot`; returns the offset of its first byte. The container's root is the namespace's, not a
 * chroot's: a process cannot change its paths by changing its root.
 *
 * Functions that are not static are verified once and not at every call: that keeps loading quick. They take
 * numbers, `path` is the address of a struct path. */
__noinline u32 path_walk(u64 path, u32 slot)
{
	struct path *from = (struct path *)path;
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &slot);
	if (!buffer)
		return PATH_LIMIT;
	struct walk w = {};
	w.bytes = buffer->bytes;
	w.offset = PATH_LIMIT;
	w.dentry = BPF_CORE_READ(from, dentry);
	w.mount = real_mount(BPF_CORE_READ(from, mnt));
	bpf_loop(256, walk_step, &w, 0);
	if (w.offset == PATH_LIMIT) {
		w.offset = PATH_LIMIT - 1;
		buffer->bytes[PATH_LIMIT - 1] = '/';
	}
	return w.offset;
}
