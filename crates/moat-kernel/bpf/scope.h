/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which container a task belongs to, by its cgroup. */
#pragma once

/* Set before loading. */
struct settings {
	s32 cgroup_v1_controller; /* index of the one that tells containers apart without cgroup v2; negative: v2 */
	u8 signals_from_cgroups;  /* cgroup programs may send signals here; else the agent kills */
	u8 judged_before;         /* an LSM program has judged what the tracepoint of executions sees */
	u8 pad[2];
};
const volatile struct settings settings = { .cgroup_v1_controller = -1 };

#define LEVELS 12 /* cgroups above a task that are looked at: a nested one is deeper than its container */

static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	if (settings.cgroup_v1_controller < 0)
		return BPF_CORE_READ(set, dfl_cgrp);
	struct cgroup_subsys_state *css = NULL;
	u32 controller = settings.cgroup_v1_controller & 15;
	bpf_core_read(&css, sizeof(css), &set->subsys[controller]);
	return BPF_CORE_READ(css, cgroup);
}

/* The container of the current task, and its id; of a task in no known container its own cgroup's id and
 * NULL. A cgroup that a container makes for itself is found through its ancestors. */
static __always_inline u64 current_container(struct task_struct *task, struct container **found)
{
	struct kernfs_node *node = BPF_CORE_READ(cgroup_of(task), kn);
	u64 own = BPF_CORE_READ(node, id);

	*found = bpf_map_lookup_elem(&containers, &own);
	if (*found || settings.cgroup_v1_controller >= 0)
		return own;
	for (int level = 1; level <= LEVELS; level++) {
		u64 ancestor = bpf_get_current_ancestor_cgroup_id(level);
		if (!ancestor || ancestor == own)
			break;
		*found = bpf_map_lookup_elem(&containers, &ancestor);
		if (*found)
			return ancestor;
	}
	return own;
}
