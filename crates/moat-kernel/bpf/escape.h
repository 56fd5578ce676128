/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A rule speaks about names, and means the files that have them: who gives a file another name, that the rule does not
 * speak about, takes it out of the rule. The rule itself refuses that, whatever operations it is about, to those whom it
 * is about. */
#pragma once

extern u32 LINUX_KERNEL_VERSION __kconfig;

#define PROGRAM_NEEDS (NEED_PATH | NEED_PREFIX | NEED_PATH_AUTOMATON | NEED_NAME)
#define EXECUTABLE_BITS 0111

struct escape {
	struct search *search;
	struct names *new;       /* NULL: whatever the new name is */
	u32 offset;
	u32 programs;            /* what is renamed is what executes, or acts: rules are about that, whoever renames it */
};

static __always_inline bool selected(void *list, struct selection *found, u32 rank)
{
	return listed(list, found->path.match_offset, found->path.match_count, rank) ||
	       listed(list, found->prefix.match_offset, found->prefix.match_count, rank) ||
	       listed(list, found->matched.match_offset, found->matched.match_count, rank);
}

static __always_inline bool spared(void *list, struct selection *found, u32 rank)
{
	return listed(list, found->path.except_offset, found->path.except_count, rank) ||
	       listed(list, found->prefix.except_offset, found->prefix.except_count, rank) ||
	       listed(list, found->matched.except_offset, found->matched.except_count, rank);
}

/* Whether the rule still speaks about the file by its new names. */
static __noinline bool covers(void *list, struct names *new, u32 rank)
{
	if (!list || !new || spared(list, &new->path, rank) ||
	    listed(list, new->base.except_offset, new->base.except_count, rank))
		return false;
	return selected(list, &new->path, rank) || listed(list, new->base.match_offset, new->base.match_count, rank) ||
	       (selected(list, &new->inside, rank) && !spared(list, &new->inside, rank));
}

static long escape_step(u32 i, struct escape *e)
{
	struct search *s = e->search;
	struct facts *f = s->facts;
	u32 index = e->offset + i, *entry = bpf_map_lookup_elem(s->list, &index);
	if (!entry || *entry >= f->enforced)
		return 1;
	u32 rank = *entry;
	struct rule *rule = bpf_map_lookup_elem(s->rules, &rank);
	if (!rule)
		return 1;
	if (!(rule->flags & RULE_ENFORCED) || rule->action == ACTION_ALERT || excepted(s, rule, rank))
		return 0;
	if (!e->programs && rule->operations && !agrees(f, rule))
		return 0;
	if (e->new && covers(s->list, e->new, rank))
		return 0;
	f->enforced = rank;
	return 1;
}
LOOP_BODY(escape_step, struct escape)

static __always_inline void escape_by(struct escape *e, struct lists *found)
{
	e->offset = found->match_offset;
	if (found->match_count)
		LOOP(found->match_count, escape_step, e);
}

static __always_inline void escape_from(struct escape *e, struct selection *found)
{
	e->search->facts->found = *found;
	escape_by(e, &found->path);
	escape_by(e, &found->prefix);
	escape_by(e, &found->matched);
}

/* Considers the rules that speak about what has one of the slot's names and would not if it had the other. */
__noinline int consider_escape(u32 slot, u32 kind, u32 from, u32 to)
{
	struct search s = {};
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct names *old = names_of(slot, from), *new = names_of(slot, to);
	if (!f || !old || !new || !old->rules || !open_search(&s, f))
		return 0;
	struct escape e = { .search = &s, .new = new, .programs = kind == TEXT_PATH };
	u32 operations = f->operations;
	f->operations = ANY_OPERATION;
	f->name = old->base;
	escape_from(&e, &old->path);
	if (matches(&old->inside))
		escape_from(&e, &old->inside);
	f->found = old->path;
	escape_by(&e, &old->base);
	__builtin_memset(&f->name, 0, sizeof(f->name));
	f->operations = operations;
	return 0;
}

/* Considers the rules that speak about what lies below a directory that is to be called otherwise. */
__noinline int consider_above(u32 slot, u64 dentry, u64 mount)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct search s = {};
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (!f || !buffer || !open_search(&s, f))
		return 0;
	struct escape e = { .search = &s };
	u32 operations = f->operations;
	f->operations = ANY_OPERATION;
	__builtin_memset(&f->found, 0, sizeof(f->found));
	u32 offset = path_walk(dentry, mount, which);
	for (u32 way = 0; way < 2 && offset != PATH_LIMIT; way++) {
		struct lists *found = text_lists(slot, f->profile, TEXT_ABOVE, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset);
		if (found)
			escape_by(&e, found);
		offset = other_path(slot, f, dentry);
	}
	f->operations = operations;
	return 0;
}

static __always_inline bool is_directory(struct dentry *dentry)
{
	return (BPF_CORE_READ(dentry, d_inode, i_mode) & S_IFMT) == S_IFDIR;
}

/* A program, or a directory that may hold some. */
static __always_inline bool may_hold_programs(struct dentry *dentry)
{
	u32 mode = BPF_CORE_READ(dentry, d_inode, i_mode);
	return (mode & S_IFMT) == S_IFDIR || mode & EXECUTABLE_BITS;
}
