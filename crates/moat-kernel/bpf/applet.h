/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Multi-call programs: which of their applets an execution is, as moat_policy::applet finds it. */
#pragma once

#define APPLET_MAX (PATH_LIMIT - 1)
#define OPTION_DONE 0xff

static const char coreutils_option[16] = "--coreutils-prog"; /* no NUL */

struct applet_bytes {
	struct facts *facts;
	const char *bytes;
	char *name;
	u32 slot;
};

#define BEGINS(text, length, with) ((length) >= sizeof(with) - 1 && begins(text, with, sizeof(with) - 1))
static __always_inline bool begins(const char *text, const char *with, u32 length)
{
	for (u32 i = 0; i < length; i++)
		if (text[i] != with[i])
			return false;
	return true;
}

/* moat_policy::MULTICALL */
static __always_inline bool is_multicall(const char *name, u32 length)
{
	return BEGINS(name, length, "busybox") || BEGINS(name, length, "coreutils") || BEGINS(name, length, "toybox");
}

/* What is counted lies in the facts: a verifier follows every value of what is on the stack. */
static long applet_byte(u32 i, struct applet_bytes *a)
{
	struct applet_scan *scan = &a->facts->scan;
	u8 byte = a->bytes[i & (PATH_LIMIT - 1)];
	if (!byte) {
		bool again = is_multicall(a->name, scan->length);
		scan->found = !again;
		a->facts->strings_left--;
		if (!again || !a->facts->strings_left)
			return 1;
		scan->position++;
		scan->offset = scan->option = scan->length = 0;
		return 0;
	}
	u32 offset = scan->offset++;
	if (scan->position && offset == scan->option && offset < sizeof(coreutils_option) &&
	    byte == (u8)coreutils_option[offset & (sizeof(coreutils_option) - 1)])
		scan->option++;
	if (byte == '/') {
		scan->length = 0;
	} else if (byte == '=' && scan->option == sizeof(coreutils_option)) {
		scan->option = OPTION_DONE;
		scan->length = 0;
	} else if ((byte != '-' || offset || scan->position) && scan->length < APPLET_MAX) {
		a->name[scan->length & (PATH_LIMIT - 1)] = byte;
		scan->length++;
	}
	return 0;
}
LOOP_BODY(applet_byte, struct applet_bytes)

static long applet_piece(u32 i, struct applet_bytes *a)
{
	u32 length = read_piece(a->slot);
	if (!length)
		return 1;
	LOOP(length, applet_byte, a);
	return a->facts->scan.found || !a->facts->strings_left;
}
LOOP_BODY(applet_piece, struct applet_bytes)

/* Whether the execution is that of an applet. Its name is then in the slot's second path buffer, its length in the scan. */
__noinline u32 find_applet(u32 slot)
{
	u32 zero = PATH_BUFFER(slot, 0), one = PATH_BUFFER(slot, 1);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *bytes = bpf_map_lookup_elem(&path_buffers, &zero);
	struct path_buffer *name = bpf_map_lookup_elem(&path_buffers, &one);
	if (!f || !bytes || !name)
		return 0;
	struct applet_bytes a = { .facts = f, .bytes = bytes->bytes, .name = name->bytes, .slot = slot };
	__builtin_memset(&f->scan, 0, sizeof(f->scan));
	begin_reading(f);
	if (f->strings_left)
		LOOP(PIECES, applet_piece, &a);
	if (f->strings_left && !f->scan.found) {
		count(COUNTER_UNREADABLE);
		f->unjudged = 1;
	}
	return f->scan.found;
}
