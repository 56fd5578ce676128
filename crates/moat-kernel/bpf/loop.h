/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Loops whose body the verifier looks at once. Kernels before 5.17 have no bpf_loop: there an array of as many cells as
 * a loop may take steps is gone through instead, and the cells themselves are of no use. */
#pragma once

#define LOOP_STEPS (1 << 17) /* mirrored in src/programs/object.rs */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOOP_STEPS);
	__type(key, u32);
	__type(value, u8);
} loop_steps SEC(".maps");

struct loop {
	void *context;
	u32 count;
};

/* Comes behind each body: the same for the array. Its context lies on the stack of who loops. */
#define LOOP_BODY(step, type) \
	static __attribute__((flatten)) long step##_of_array(void *map, u32 *cell, void *value, struct loop *loop) \
	{ \
		return *cell >= loop->count || step(*cell, (type *)loop->context); \
	}

/* Takes the step at most `times` times, until it returns 1. */
#define LOOP(times, step, with) \
	do { \
		if (!settings.without_loop) { \
			bpf_loop(times, step, with, 0); \
		} else { \
			struct loop loop = { .context = with, .count = times }; \
			bpf_for_each_map_elem(&loop_steps, step##_of_array, &loop, 0); \
		} \
	} while (0)

/* Whatever loops, loops on older kernels too. */
#pragma clang poison bpf_loop
