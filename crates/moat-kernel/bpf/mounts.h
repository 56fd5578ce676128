/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The mounts that the current task can see. */
#pragma once

#define MOUNTS 4096   /* of a namespace that are looked at */
#define WAYS 8        /* mounts of one file system that are looked at */

struct mount_search {
	u64 mount;
	u64 system;
	u32 leaving;     /* what is below the mount was seen */
	u32 found;
};

/* To the next mount of the tree: what is mounted on this one, else beside it, else beside what is above. */
static long mount_step(u32 i, struct mount_search *m)
{
	u64 mount = m->mount, parent = (u64)FIELD(mount, mount, mnt_parent);
	u64 child = bpf_core_field_offset(struct mount, mnt_child), next = 0;
	if (!m->leaving) {
		next = (u64)FIELD(mount, mount, mnt_mounts.next);
		if (next == mount + bpf_core_field_offset(struct mount, mnt_mounts))
			next = 0;
	}
	if (!next) {
		if (parent == mount)
			return 1;
		next = (u64)FIELD(mount, mount, mnt_child.next);
		if (next == parent + bpf_core_field_offset(struct mount, mnt_mounts)) {
			m->leaving = 1;
			m->mount = parent;
			return 0;
		}
	}
	m->leaving = 0;
	m->mount = next - child;
	m->found = (u64)FIELD(mount, m->mount, mnt.mnt_sb) == m->system;
	return m->found;
}
LOOP_BODY(mount_step, struct mount_search)

/* The mount of a file system that comes after `vfsmount` in the namespace of the current task, the first one after 0;
 * 0 where there is none. */
__noinline u64 next_mount(u64 vfsmount, u64 system)
{
	u64 inner = bpf_core_field_offset(struct mount, mnt);
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct mount_search m = { .mount = vfsmount - inner, .system = system };
	if (!vfsmount) {
		m.mount = (u64)BPF_CORE_READ(task, nsproxy, mnt_ns, root);
		if (!m.mount)
			return 0;
		if ((u64)FIELD(mount, m.mount, mnt.mnt_sb) == system)
			return m.mount + inner;
	}
	LOOP(MOUNTS, mount_step, &m);
	return m.found ? address_of((const void *)(m.mount + inner)) : 0;
}
