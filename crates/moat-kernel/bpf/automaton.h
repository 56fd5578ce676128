/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Runs the byte automata that moat_policy::automaton builds. */
#pragma once

#define BYTES_A_STEP 16      /* a call of the loop's body costs as much as a byte or two */

struct run {
	struct automaton *automaton;
	void *table;
	const char *bytes;
	u64 *bits;
	struct facts *facts;
	u32 length;
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

/* Some bytes. A match state is entered one byte after the match ended (regex-automata's convention). The NUL behind the
 * last string is not for the automaton. What changes lies in the facts: newer verifiers follow every value on the stack. */
static long run_step(u32 i, struct run *r)
{
	struct facts *f = r->facts;
	for (u32 k = 0; k < BYTES_A_STEP; k++) {
		u32 at = i * BYTES_A_STEP + k;
		if (at >= r->length)
			return 1;
		u8 byte = r->bytes[at & (PATH_LIMIT - 1)];
		if (!byte && f->run.strings && --f->run.strings == 0)
			return 1;
		u32 index = f->run.state + r->automaton->classes[byte];
		u32 *next = bpf_map_lookup_elem(r->table, &index);
		if (!next)
			return 1;
		u32 state = *next;
		f->run.state = state;
		if (state == 0)
			return 1;
		if (r->bits && state >= r->automaton->min_match)
			collect(r, state);
	}
	return 0;
}
LOOP_BODY(run_step, struct run)

static __always_inline bool open_run(struct run *r, struct facts *f, u64 key)
{
	u32 kind = key & 255;
	r->bits = kind == AUTOMATON_NAME ? f->name_bits : kind == AUTOMATON_ARGUMENTS ? f->argument_bits : NULL;
	r->automaton = bpf_map_lookup_elem(&automata, &key);
	r->table = bpf_map_lookup_elem(&automaton_tables, &key);
	return r->automaton && r->table;
}

#define FROM_START NONE

/* Runs one automaton over `length` bytes of the slot's first path buffer from `offset` on, beginning in `state`. The state
 * after them, 0 where nothing can match any more; what an automaton of names or arguments finds on the way goes to the
 * facts. */
__noinline u32 run_automaton(u32 slot, u64 key, u32 state, u32 offset, u32 length)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	struct run r = { .length = length, .facts = f };
	if (!f || !buffer || !open_run(&r, f, key))
		return 0;
	bool arguments = (key & 255) == AUTOMATON_ARGUMENTS;
	r.bytes = buffer->bytes + (offset & (PATH_LIMIT - 1));
	f->run.state = state == FROM_START ? r.automaton->start : state;
	f->run.strings = arguments ? f->strings_left : 0;
	LOOP((length + BYTES_A_STEP - 1) / BYTES_A_STEP, run_step, &r);
	if (arguments)
		f->strings_left = f->run.strings;
	return f->run.state;
}

/* The step at the end of the input: the state after it. */
__noinline u32 end_automaton(u32 slot, u64 key, u32 state)
{
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct run r = {};
	if (!f || !state || !open_run(&r, f, key))
		return 0;
	u32 index = (state == FROM_START ? r.automaton->start : state) + r.automaton->end_class;
	u32 *end = bpf_map_lookup_elem(r.table, &index);
	if (!end)
		return 0;
	if (r.bits && *end >= r.automaton->min_match)
		collect(&r, *end);
	return *end;
}
