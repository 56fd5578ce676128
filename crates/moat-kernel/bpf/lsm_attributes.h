/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Extended attributes: the kernel asks with the file and not with the mount that it was reached by, so the file is
 * judged by every mount of its file system that the container has. What has none is not the container's: an overlay's
 * upper layer, written by overlayfs itself. */
#pragma once

#define MOUNTS 4096   /* of a container that are looked at */
#define WAYS 8        /* mounts that lead to one file system */
#define ATTR_UID 2
#define ATTR_GID 4

struct mount_search {
	u64 mount;
	u64 system;
	u32 leaving;     /* what is below the mount was seen */
	u32 found;
};

/* To the next mount of the tree: what is mounted on this one, else beside it, else beside what is above. */
static long mount_step(u32 i, struct mount_search *m)
{
	struct mount *mount = (struct mount *)m->mount, *parent = BPF_CORE_READ(mount, mnt_parent);
	u64 child = bpf_core_field_offset(struct mount, mnt_child), next = 0;
	if (!m->leaving) {
		next = (u64)BPF_CORE_READ(mount, mnt_mounts.next);
		if (next == (u64)mount + bpf_core_field_offset(struct mount, mnt_mounts))
			next = 0;
	}
	if (!next) {
		if (parent == mount)
			return 1;
		next = (u64)BPF_CORE_READ(mount, mnt_child.next);
		if (next == (u64)parent + bpf_core_field_offset(struct mount, mnt_mounts)) {
			m->leaving = 1;
			m->mount = (u64)parent;
			return 0;
		}
	}
	m->leaving = 0;
	m->mount = next - child;
	mount = (struct mount *)(next - child);
	m->found = (u64)BPF_CORE_READ(mount, mnt.mnt_sb) == m->system;
	return m->found;
}

/* The mount of a file system that comes after `mount` in the namespace of the current task, the first one after 0;
 * 0 where there is none. */
__noinline u64 next_mount(u64 mount, u64 system)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct mount_search m = { .mount = mount, .system = system };
	if (!mount) {
		struct mount *root = BPF_CORE_READ(task, nsproxy, mnt_ns, root);
		m.mount = (u64)root;
		if (!root || (u64)BPF_CORE_READ(root, mnt.mnt_sb) == system)
			return m.mount;
	}
	bpf_loop(MOUNTS, mount_step, &m, 0);
	return m.found ? m.mount : 0;
}

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
	struct search s = {};
	if (!a || !dentry || !a->container)
		return 0;
	u32 role = current_role(a->container->init_pid);
	if (role == ROLE_RUNTIME)
		return 0;
	struct facts *f = new_facts(slot, a->container, a->cgroup, role);
	if (!f || !open_search(&s, f))
		return 0;
	f->operations = a->operations;
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
			if (consider_path(slot, address, mount + bpf_core_field_offset(struct mount, mnt)))
				way = mount + bpf_core_field_offset(struct mount, mnt);
		}
	}
	if (select_by_object(f, dentry->d_inode, TEXT_FILE))
		consider_found(&s);
	return conclude(a, &s, slot, address, way);
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
