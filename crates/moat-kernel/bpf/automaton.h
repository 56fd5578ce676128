/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Runs the byte automata that moat_policy::automaton builds. */
#pragma once

struct run {
	struct automaton *automaton;
	void *table;
	const char *bytes;
	u64 *bits;
	u32 state;
	u32 length;
	u32 mask;
};

static __always_inline void collect(struct run *r, u32 state)
{
	u32 base = r->automaton->match_base + (state - r->automaton->min_match) / r->automaton->stride * MASK_WORDS;
	for (u32 i = 0; i < 4; i++) {
		u32 low_index = base + 2 * i, high_index = low_index + 1;
		u32 *low = bpf_map_lookup_elem(r->table, &low_index);
		u32 *high = bpf_map_lookup_elem(r->table, &high_index);
		if (low && high)
			r->bits[i] |= (u64)*high << 32 | *low;
	}
}

/* One byte. A match state is entered one byte after the match ended (regex-automata's convention). */
static long run_step(u32 i, struct run *r)
{
	u8 class = r->automaton->classes[(u8)r->bytes[i & r->mask]];
	u32 index = r->state + class;
	u32 *next = bpf_map_lookup_elem(r->table, &index);
	if (!next)
		return 1;
	r->state = *next;
	if (r->state == 0)
		return 1;
	if (r->bits && r->state >= r->automaton->min_match)
		collect(r, r->state);
	return 0;
}

/* The step at the end of the input: the state after it. */
static __always_inline u32 finish(struct run *r)
{
	if (!r->state)
		return 0;
	u32 index = r->state + r->automaton->end_class;
	u32 *end = bpf_map_lookup_elem(r->table, &index);
	if (!end)
		return 0;
	if (r->bits && *end >= r->automaton->min_match)
		collect(r, *end);
	return *end;
}
