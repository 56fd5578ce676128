/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Which container a task belongs to, by its cgroup. */
#pragma once

/* Set before loading. */
struct settings {
	s32 cgroup_v1_controller; /* index of the one that tells containers apart without cgroup v2; negative: v2 */
	u8 signals_from_cgroups;  /* cgroup programs may send signals here; else the agent kills */
	u8 judged_before;         /* an LSM program has judged what the tracepoint of executions sees */
	u8 page_bits;            /* of the size of a page of memory */
	u8 without_loop;         /* the kernel has no bpf_loop */
};
const volatile struct settings settings = { .cgroup_v1_controller = -1, .page_bits = 12 };

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

/* Known cgroups by the low bits of their ids: an act outside of all containers ends at a cell that is 0. */
#define SCOPE_CELLS (1 << 16)
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, SCOPE_CELLS);
	__type(key, u32);
	__type(value, u64);
} scope_cells SEC(".maps");

/* Cgroups that containers made for themselves, and the container's. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, u64);
	__type(value, u64);
} nested SEC(".maps");

static __always_inline u64 *scope_cell(u64 cgroup)
{
	u32 index = cgroup & (SCOPE_CELLS - 1);
	return bpf_map_lookup_elem(&scope_cells, &index);
}

/* The container whose cgroup this is or lies in; *cgroup becomes the container's. */
static __always_inline struct container *container_of_cgroup(u64 *cgroup)
{
	u64 *cell = scope_cell(*cgroup);
	if (!cell || !*cell)
		return NULL;
	struct container *found = bpf_map_lookup_elem(&containers, cgroup);
	if (found)
		return found;
	u64 *owner = bpf_map_lookup_elem(&nested, cgroup);
	if (!owner)
		return NULL;
	*cgroup = *owner;
	return bpf_map_lookup_elem(&containers, cgroup);
}

/* Whether the current task can be in a known container at all: the quick way out, before anything else is asked. */
static __always_inline bool may_be_contained(struct task_struct *task)
{
	if (settings.cgroup_v1_controller >= 0)
		return true;
	u64 *cell = scope_cell(task->cgroups->dfl_cgrp->kn->id);
	return cell && *cell;
}

/* The container of the current task, and its id; of a task in no known container its own cgroup's id and NULL. */
static __always_inline u64 current_container(struct task_struct *task, struct container **found)
{
	u64 cgroup;
	if (settings.cgroup_v1_controller < 0) {
		cgroup = task->cgroups->dfl_cgrp->kn->id;
	} else {
		struct kernfs_node *node = BPF_CORE_READ(cgroup_of(task), kn);
		cgroup = BPF_CORE_READ(node, id);
	}
	*found = container_of_cgroup(&cgroup);
	return cgroup;
}

/* A cgroup that is made in a container's is the container's. Only of the hierarchy that tells containers apart. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(moat_cgroup_made, struct cgroup *cgroup)
{
	u64 parent, own, *owner;
	if (settings.cgroup_v1_controller >= 0 || BPF_CORE_READ(cgroup, root, hierarchy_id))
		return 0;
	parent = BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
	own = BPF_CORE_READ(cgroup, kn, id);
	if (!bpf_map_lookup_elem(&containers, &parent)) {
		owner = bpf_map_lookup_elem(&nested, &parent);
		if (!owner)
			return 0;
		parent = *owner;
	}
	u64 *cell = scope_cell(own);
	if (cell && !bpf_map_update_elem(&nested, &own, &parent, BPF_NOEXIST))
		__sync_fetch_and_add(cell, 1);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(moat_cgroup_gone, struct cgroup *cgroup)
{
	if (settings.cgroup_v1_controller >= 0 || BPF_CORE_READ(cgroup, root, hierarchy_id))
		return 0;
	u64 own = BPF_CORE_READ(cgroup, kn, id), *cell = scope_cell(own);
	if (cell && !bpf_map_delete_elem(&nested, &own))
		__sync_fetch_and_sub(cell, 1);
	return 0;
}
