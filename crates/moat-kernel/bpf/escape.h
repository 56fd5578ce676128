/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* A rule speaks about names, and means the files that have them: who gives a file another name, that the rule does not
 * speak about, takes it out of the rule. The rule itself refuses that, whatever operations it is about, to those whom it
 * is about. */
#pragma once

extern u32 LINUX_KERNEL_VERSION __kconfig;

#define PROGRAM_NEEDS (NEED_PATH | NEED_PREFIX | NEED_PATH_AUTOMATON | NEED_NAME | NEED_NAME_AUTOMATON)
#define EXECUTABLE_BITS 0111

struct escape {
	struct search *search;
	struct names *new;       /* NULL: whatever the new name is */
	u32 offset;
	u32 programs;            /* what is renamed is what executes, or acts: rules are about that, whoever renames it */
	u32 expressions;         /* the rules are those by expressions on base names */
	u32 parts;               /* the entries say which part of a glob */
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
	u32 rank = entry ? *entry & ENTRY_RANK : NONE;
	if (!entry || rank >= f->enforced)
		return 1;
	struct rule *rule = bpf_map_lookup_elem(s->rules, &rank);
	if (!rule)
		return 1;
	if (e->expressions) {
		if (!(*entry & ENTRY_NEEDS_NAME) || !bit_of(f->name_bits, rule->name_bit) || bit_of(f->new_name_bits, rule->name_bit))
			return 0;
	}
	if (e->parts && *entry < ENTRY_ANY_PART && listed(s->list, f->above.match_offset, f->above.match_count, *entry))
		return 0;
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
	if (!f || !old || !new || !open_search(&s, f))
		return 0;
	u32 profile = f->profile;
	struct profile *p = bpf_map_lookup_elem(&profiles, &profile);
	if (!p)
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
	if (kind == TEXT_PATH && f->needs & NEED_NAME_AUTOMATON) {
		struct lists always = { .match_offset = p->always_offset, .match_count = p->always_count };
		e.expressions = 1;
		escape_by(&e, &always);
	}
	__builtin_memset(&f->name, 0, sizeof(f->name));
	f->operations = operations;
	return 0;
}

static __always_inline bool is_directory(struct dentry *dentry)
{
	return (BPF_CORE_READ(dentry, d_inode, i_mode) & S_IFMT) == S_IFDIR;
}

/* Notes which expressions the base name of a program matches, and which of them its new one does. What is in a directory
 * keeps its own. */
__noinline int note_new_name(u32 slot, u64 old, u64 new)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f || !(f->needs & NEED_NAME_AUTOMATON))
		return 0;
	__builtin_memset(f->name_bits, 0, sizeof(f->name_bits));
	if (is_directory((struct dentry *)old))
		return 0;
	struct qstr *name = &((struct dentry *)new)->d_name;
	note_name(slot, (u64)BPF_CORE_READ(name, name), BPF_CORE_READ(name, len));
	__builtin_memcpy(f->new_name_bits, f->name_bits, sizeof(f->name_bits));
	name = &((struct dentry *)old)->d_name;
	__builtin_memset(f->name_bits, 0, sizeof(f->name_bits));
	note_name(slot, (u64)BPF_CORE_READ(name, name), BPF_CORE_READ(name, len));
	return 0;
}

/* Considers the rules that speak about what lies below the directory whose path is at `offset`: by that path, and by the
 * parts of globs in f->found. Apart from finding those, for the stack is short. */
__noinline int consider_below(u32 slot, u32 offset)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct search s = {};
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (!f || !buffer || !open_search(&s, f))
		return 0;
	struct escape e = { .search = &s };
	struct lists parts = f->found.matched;
	__builtin_memset(&f->found, 0, sizeof(f->found));
	struct lists *found = text_lists(slot, f->profile, TEXT_ABOVE, buffer->bytes + (offset & (PATH_LIMIT - 1)), PATH_LIMIT - offset);
	if (found)
		escape_by(&e, found);
	e.parts = 1;
	if (parts.match_count)
		escape_by(&e, &parts);
	return 0;
}

/* Considers the rules that speak about what lies below a directory that is to be called otherwise. What only a wildcard
 * covers may be renamed where the same part of the same glob covers it after that. */
__noinline int consider_above(u32 slot, u64 old, u64 new, u64 mount)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	if (!f)
		return 0;
	u32 operations = f->operations, globs = f->needs & NEED_ABOVE_AUTOMATON;
	f->operations = ANY_OPERATION;
	if (globs) {
		select_by_automaton(slot, AUTOMATON_ABOVE, path_walk(new, mount, which));
		f->above = f->found.matched;
	}
	u32 offset = path_walk(old, mount, which);
	for (u32 way = 0; way < 2 && offset != PATH_LIMIT; way++) {
		__builtin_memset(&f->found, 0, sizeof(f->found));
		if (globs)
			select_by_automaton(slot, AUTOMATON_ABOVE, offset);
		consider_below(slot, offset);
		offset = other_path(slot, f, old);
	}
	f->operations = operations;
	return 0;
}

/* A program, or a directory that may hold some. */
static __always_inline bool may_hold_programs(struct dentry *dentry)
{
	u32 mode = BPF_CORE_READ(dentry, d_inode, i_mode);
	return (mode & S_IFMT) == S_IFDIR || mode & EXECUTABLE_BITS;
}
