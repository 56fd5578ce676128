/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Extended attributes: the kernel asks with the file and not with the mount that it was reached by, so the file is
 * judged by every mount of its file system that the container has. What has none is not the container's: an overlay's
 * upper layer, written by overlayfs itself. */
#pragma once

#define ATTR_UID 2
#define ATTR_GID 4

/* Considers the rules on one path; 0 where the mount does not lead to it. */
__noinline u32 consider_path(u32 slot, u64 dentry, u64 mount)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct search s = {};
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (!f || !buffer || !open_search(&s, f))
		return 0;
	u32 offset = path_walk(dentry, mount, which);
	if (mount && !buffer->mounts)
		return 0;
	if (select_by_path(slot, TEXT_FILE, offset))
		consider_found(&s);
	return 1;
}

static __noinline int judge_attribute_with(struct access *a, struct dentry *dentry, u32 slot)
{
	struct facts *f = begin(a, slot);
	if (!a || !dentry || !f)
		return 0;
	u64 address = address_of(dentry), way = 0;
	find_actor(f, slot);
	if (dentry->d_sb->s_dev == f->root_device) {
		consider_path(slot, address, 0);
	} else {
		u64 system = address_of(dentry->d_sb), mount = 0;
		for (u32 i = 0; i < WAYS; i++) {
			mount = next_mount(mount, system);
			if (!mount)
				break;
			if (consider_path(slot, address, mount))
				way = mount;
		}
	}
	consider_objects(slot, TEXT_FILE, dentry->d_inode->i_ino, dentry->d_sb->s_dev);
	return conclude(a, slot, address, way);
}

static __noinline int judge_attribute(struct dentry *dentry, u32 operation)
{
	struct access a = { .operations = BIT(operation) };
	a.container = container_with(NEED_FILE, &a.cgroup);
	if (!a.container || !dentry)
		return 0;
	u32 slot = take_slot();
	if (slot == NO_SLOT)
		return refuse_unjudged();
	int result = judge_attribute_with(&a, dentry, slot);
	give_slot(slot);
	return result;
}

SEC("lsm/inode_setxattr")
int BPF_PROG(moat_lsm_set_attribute, void *mapping, struct dentry *dentry)
{
	return judge_attribute(dentry, OP_SETXATTR);
}

SEC("lsm/inode_removexattr")
int BPF_PROG(moat_lsm_remove_attribute, void *mapping, struct dentry *dentry)
{
	return judge_attribute(dentry, OP_SETXATTR);
}

/* From 6.2 on access lists are no extended attributes within the kernel. */
SEC("lsm/inode_set_acl")
int BPF_PROG(moat_lsm_set_acl, void *mapping, struct dentry *dentry)
{
	return judge_attribute(dentry, OP_SETXATTR);
}

SEC("lsm/inode_remove_acl")
int BPF_PROG(moat_lsm_remove_acl, void *mapping, struct dentry *dentry)
{
	return judge_attribute(dentry, OP_SETXATTR);
}

/* In place of path_chown before 6.0, where no program can take its arguments. */
SEC("lsm/inode_setattr")
int BPF_PROG(moat_lsm_set_owner, struct dentry *dentry, struct iattr *attributes)
{
	if (!(attributes->ia_valid & (ATTR_UID | ATTR_GID)))
		return 0;
	return judge_attribute(dentry, OP_CHOWN);
}
