/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the rules say about a file by its names, kept with the file itself: for one that no rule speaks about an access
 * ends here, and for another the path need not be walked again.
 *
 * It holds for one name in one place. A name, and the place of everything above it, changes only by a rename, and the
 * place of a file system only by a mount: the kernel counts both, odd while one is being made. */
#pragma once

extern const void rename_lock __ksym __weak;
extern const void mount_lock __ksym __weak;

#define S_IFMT 0170000
#define S_IFDIR 0040000

/* For which name, rules and moment it was found. */
struct name_key {
	u64 dentry, parent, mount;
	u32 hash, length;
	u32 profile, renames, mounts, objects;
};
/* A file is judged by each: as one name may be excepted from a rule and another not. */
struct names {
	struct name_key key;
	struct selection path;   /* as the container sees it */
	struct selection inside; /* by another mount, or within the container's root file system */
	u64 inode;               /* which very file it is, and by how many names rules mean that */
	u32 device;
	u32 objects;
	struct lists base;       /* of programs: by base name */
	u32 rules;               /* how many in all */
	u32 operations;          /* that they speak about: of any other nothing is to be judged */
};

struct {
	__uint(type, BPF_MAP_TYPE_INODE_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct names);
} known_files SEC(".maps");

enum which_name { OLD_NAME = 0, NEW_NAME = 1 };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2 * SLOTS);
	__type(key, u32);
	__type(value, struct names);
} all_names SEC(".maps");

static __always_inline struct names *names_of(u32 slot, u32 which)
{
	u32 index = slot * 2 + which;
	return bpf_map_lookup_elem(&all_names, &index);
}

/* The count of a seqlock. */
static __always_inline u32 sequence(const void *lock)
{
	if (bpf_ksym_exists(bpf_rdonly_cast))
		return TYPED(seqcount, lock)->sequence;
	u32 count = 1;
	bpf_probe_read_kernel(&count, sizeof(count), lock);
	return count;
}

/* How often something was renamed, and mounted. A kernel that does not tell: always odd. */
static __always_inline u32 renames(void)
{
	return bpf_ksym_exists(&rename_lock) ? sequence(&rename_lock) : 1;
}

static __always_inline u32 mounts(void)
{
	return bpf_ksym_exists(&mount_lock) ? sequence(&mount_lock) : 1;
}

static __always_inline u32 changes_of_objects(void)
{
	u32 zero = 0, *changes = bpf_map_lookup_elem(&object_changes, &zero);
	return changes ? *changes : 0;
}

static __always_inline void name_key(struct name_key *key, struct dentry *dentry, struct vfsmount *mount, u32 profile)
{
	key->dentry = (u64)dentry;
	key->parent = (u64)dentry->d_parent;
	key->mount = (u64)mount;
	key->hash = dentry->d_name.hash;
	key->length = dentry->d_name.len;
	key->profile = profile;
	key->renames = renames();
	key->mounts = mounts();
	key->objects = changes_of_objects();
}

/* Whether what is kept with a file is about this name, and still so. It is never changed, only replaced: it is read
 * without a lock. */
static __always_inline bool holds_now(struct names *known, struct dentry *dentry, struct vfsmount *mount, u32 profile)
{
	if (known->key.profile != profile || known->key.dentry != (u64)dentry)
		return false;
	if (known->key.parent != (u64)dentry->d_parent || known->key.mount != (u64)mount)
		return false;
	if (known->key.hash != dentry->d_name.hash || known->key.length != dentry->d_name.len)
		return false;
	return known->key.renames == renames() && known->key.mounts == mounts() && known->key.objects == changes_of_objects();
}

/* A file with more than one name is not kept: its other names come and go without a rename. */
static __always_inline void remember(struct inode *inode, struct names *names, u32 replaced)
{
	if ((names->key.renames | names->key.mounts) & 1)
		return;
	if (inode->i_nlink != 1 && (inode->i_mode & S_IFMT) != S_IFDIR)
		return;
	if (replaced)
		bpf_inode_storage_delete(&known_files, inode);
	bpf_inode_storage_get(&known_files, inode, names, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void forget(struct inode *inode)
{
	bpf_inode_storage_delete(&known_files, inode);
}

static __always_inline u32 matches(struct selection *found)
{
	return found->path.match_count + found->prefix.match_count + found->matched.match_count;
}

/* Finds what the rules of a kind (TEXT_FILE, TEXT_PATH) say about a file by its names. Leaves the key alone. */
__noinline u32 find_names(u32 slot, u32 which, u32 kind, u64 dentry, u64 mount)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct names *names = names_of(slot, which);
	u32 other;
	if (!f || !names)
		return 0;
	__builtin_memset(&names->path, 0, sizeof(*names) - sizeof(names->key));
	if (select_by_path(slot, kind, path_walk(dentry, mount, PATH_BUFFER(slot, 0))))
		names->path = f->found;
	other = other_path(slot, f, dentry);
	if (other != PATH_LIMIT && select_by_path(slot, kind, other))
		names->inside = f->found;
	struct inode *inode = FIELD(dentry, dentry, d_inode);
	if (inode) {
		struct super_block *system = FIELD(inode, inode, i_sb);
		names->inode = FIELD(inode, inode, i_ino);
		names->device = FIELD(super_block, system, s_dev);
		u32 place = 0;
		while (place < OBJECT_NAMES && select_by_object(f, kind, names->inode, names->device, place))
			place++;
		names->objects = place;
	}
	if (kind == TEXT_PATH && f->needs & NEED_NAME) {
		u32 length = BPF_CORE_READ((struct dentry *)dentry, d_name.len);
		struct lists *found = text_lists(slot, f->profile, TEXT_NAME, (const char *)BPF_CORE_READ((struct dentry *)dentry, d_name.name), length);
		if (found)
			names->base = *found;
	}
	names->rules = matches(&names->path) + matches(&names->inside) + names->objects + names->base.match_count;
	return names->rules;
}

/* Adds, for a file on a volume, what the rules say by the first other path that it has and that they speak about: a bind
 * mount is no new name. */
__noinline u32 find_on_volume(u32 slot, u32 which, u32 kind, u64 dentry, u64 mount)
{
	u32 path = PATH_BUFFER(slot, 0);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &path);
	struct names *names = names_of(slot, which);
	struct super_block *system = FIELD(dentry, dentry, d_sb);
	u64 other = 0;
	if (!f || !buffer || !names || FIELD(super_block, system, s_dev) == f->root_device)
		return 0;
	u64 address = address_through(&f->address, system);
	for (u32 i = 0; i < WAYS; i++) {
		other = next_mount(other, address);
		if (!other)
			break;
		u32 offset = other == mount ? PATH_LIMIT : path_walk(dentry, other, path);
		if (offset != PATH_LIMIT && buffer->mounts && select_by_path(slot, kind, offset)) {
			names->inside = f->found;
			names->rules += matches(&names->inside);
			break;
		}
	}
	return 0;
}

/* Considers the rules that any of a slot's names lead to. What takes numbers only is verified once. */
__noinline int consider_names(u32 slot, u32 which)
{
	struct search s = {};
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct names *names = names_of(slot, which);
	if (!f || !names || !open_search(&s, f))
		return 0;
	f->found = names->path;
	consider_found(&s);
	if (matches(&names->inside)) {
		f->found = names->inside;
		consider_found(&s);
	}
	if (names->objects)
		consider_objects(slot, TEXT_FILE, names->inode, names->device);
	return 0;
}
