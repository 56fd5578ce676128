/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Names that come and go. */
#pragma once

static __always_inline int judge_entry(const struct path *directory, struct dentry *dentry, u32 operation)
{
	struct access a = { .operations = BIT(operation) };
	a.container = container_with(NEED_FILE, &a.cgroup);
	if (!a.container)
		return 0;
	a.mount = directory->mnt;
	return judge_access(&a, dentry);
}

/* Also called when a file is opened that is not there yet. */
SEC("lsm/path_mknod")
int BPF_PROG(moat_lsm_mknod, const struct path *directory, struct dentry *dentry)
{
	return judge_entry(directory, dentry, OP_CREATE);
}

SEC("lsm/path_mkdir")
int BPF_PROG(moat_lsm_mkdir, const struct path *directory, struct dentry *dentry)
{
	return judge_entry(directory, dentry, OP_CREATE);
}

SEC("lsm/path_symlink")
int BPF_PROG(moat_lsm_symlink, const struct path *directory, struct dentry *dentry)
{
	return judge_entry(directory, dentry, OP_CREATE);
}

SEC("lsm/path_unlink")
int BPF_PROG(moat_lsm_unlink, const struct path *directory, struct dentry *dentry)
{
	forget(dentry->d_inode);
	return judge_entry(directory, dentry, OP_DELETE);
}

SEC("lsm/path_rmdir")
int BPF_PROG(moat_lsm_rmdir, const struct path *directory, struct dentry *dentry)
{
	return judge_entry(directory, dentry, OP_DELETE);
}

#define RENAME_EXCHANGE 2

/* Decides on a new name for what had another. */
static __noinline int judge_move_with(struct access *a, struct dentry *old, struct dentry *new, u32 exchange, u32 slot)
{
	struct facts *f = begin(a, slot);
	if (!a || !old || !new || !f)
		return 0;
	u64 from = address_of(old), to = address_of(new), mount = address_of(a->mount);
	find_actor(f, slot);
	find_names(slot, OLD_NAME, TEXT_FILE, from, mount);
	find_on_volume(slot, OLD_NAME, TEXT_FILE, from, mount);
	find_names(slot, NEW_NAME, TEXT_FILE, to, mount);
	find_on_volume(slot, NEW_NAME, TEXT_FILE, to, mount);
	consider_names(slot, OLD_NAME);
	consider_escape(slot, TEXT_FILE, OLD_NAME, NEW_NAME);
	if (is_directory(old))
		consider_above(slot, from, to, mount);
	u32 by_old = decisive(f);
	consider_names(slot, NEW_NAME);
	if (exchange) {
		consider_escape(slot, TEXT_FILE, NEW_NAME, OLD_NAME);
		if (is_directory(new))
			consider_above(slot, to, from, mount);
	}
	if (f->needs & PROGRAM_NEEDS) {
		find_names(slot, OLD_NAME, TEXT_PATH, from, mount);
		find_names(slot, NEW_NAME, TEXT_PATH, to, mount);
		if (may_hold_programs(old)) {
			note_new_name(slot, from, to);
			consider_escape(slot, TEXT_PATH, OLD_NAME, NEW_NAME);
		}
		if (exchange && may_hold_programs(new)) {
			note_new_name(slot, to, from);
			consider_escape(slot, TEXT_PATH, NEW_NAME, OLD_NAME);
		}
	}
	u32 by_new = decisive(f) != by_old;
	return conclude(a, slot, by_new ? to : from, mount);
}

static __always_inline int judge_move(struct vfsmount *mount, struct dentry *old, struct dentry *new, u32 operation, u32 exchange)
{
	struct access a = { .operations = BIT(operation), .mount = mount };
	a.container = container_with(NEED_FILE | PROGRAM_NEEDS, &a.cgroup);
	if (!a.container)
		return 0;
	u32 slot = take_slot();
	if (slot == NO_SLOT)
		return refuse_unjudged();
	int result = judge_move_with(&a, old, new, exchange, slot);
	give_slot(slot);
	return result;
}

/* The flags come since 5.19; before, an exchange is two calls. */
SEC("lsm/path_rename")
int BPF_PROG(moat_lsm_rename, const struct path *from, struct dentry *old, const struct path *to, struct dentry *new)
{
	u32 exchange = LINUX_KERNEL_VERSION >= KERNEL_VERSION(5, 19, 0) && ctx[4] & RENAME_EXCHANGE;
	return judge_move(to->mnt, old, new, OP_RENAME, exchange);
}

SEC("lsm/path_link")
int BPF_PROG(moat_lsm_link, struct dentry *old, const struct path *to, struct dentry *new)
{
	forget(old->d_inode);
	return judge_move(to->mnt, old, new, OP_LINK, 0);
}
