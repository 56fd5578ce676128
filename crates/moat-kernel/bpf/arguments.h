/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The arguments of an execution: read where nobody can change them between the decision and the start. Before the
 * point of no return the kernel has copied them into an address space that no task runs in yet; it is read by walking
 * its page tables. After that, and at any later time, they are the task's own memory. */
#pragma once

#define PIECE 512            /* read at once; never crosses a page */
#define PIECES (6 * 1024 * 1024 / PIECE + 1) /* the most that the kernel takes, whatever the limit of the stack */
#define PAGE_SMALLEST 4096
#define PAGE_BITS settings.page_bits
#define TABLE_BITS (PAGE_BITS - 3) /* entries are 8 bytes */

static __always_inline u64 entry_at(u64 table, u64 address, u32 shift)
{
	u64 entry = 0;
	u64 index = address >> (shift & 63) & ((1ull << TABLE_BITS) - 1);
	bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(table + index * sizeof(entry)));
	return entry;
}

/* Physical memory as the kernel itself addresses it, and how the tables of user memory are built. */
struct paging {
	u64 base;                /* of physical address 0 */
	u64 mask;                /* bits of an entry that are an address */
	u32 levels;
	bool wide;               /* arm64: addresses have 52 bits */
};

#if defined(__TARGET_ARCH_x86)

extern const void page_offset_base __ksym __weak;
extern const void pgdir_shift __ksym __weak;
extern const void sme_me_mask __ksym __weak;

#define PRESENT(entry) ((entry) & 1)
#define LEAF(entry) ((entry) & 0x80)

static __always_inline bool paging_of(struct paging *p, u64 memory)
{
	u32 shift = 39;
	u64 encrypted = 0;
	if (!&page_offset_base || bpf_probe_read_kernel(&p->base, sizeof(p->base), &page_offset_base))
		return false;
	if (&pgdir_shift)
		bpf_probe_read_kernel(&shift, sizeof(shift), &pgdir_shift);
	/* With memory encryption one bit of an address says that the page is encrypted. */
	if (&sme_me_mask)
		bpf_probe_read_kernel(&encrypted, sizeof(encrypted), &sme_me_mask);
	p->mask = 0x000ffffffffff000ull & ~encrypted;
	p->levels = shift == 48 ? 5 : 4;
	return true;
}

static __always_inline u64 physical(struct paging *p, u64 entry)
{
	return entry & p->mask;
}

#elif defined(__TARGET_ARCH_arm64)

extern const void memstart_addr __ksym __weak;

#define PRESENT(entry) ((entry) & 1)
#define LEAF(entry) (!((entry) & 2))

/* The map of physical memory is the lower half of the kernel's addresses: of an object in it, all bits above those that
 * are used are ones, and the next is not. A kernel built for 52 bits on a processor with 48 counts from the base for 52 all
 * the same, and has moved `memstart_addr` by the difference. */
static __always_inline bool paging_of(struct paging *p, u64 memory)
{
	s64 start;
	u32 bits = 52;
	if (!&memstart_addr || bpf_probe_read_kernel(&start, sizeof(start), &memstart_addr))
		return false;
	while (bits > 36 && (s64)memory >> (bits - 1) == -1)
		bits--;
	p->base = -(1ull << (start < -(1ll << 50) ? 52 : bits)) - start;
	p->levels = (bits - PAGE_BITS + TABLE_BITS - 1) / TABLE_BITS;
	p->mask = (1ull << 48) - (1ull << PAGE_BITS);
	p->wide = bits == 52;
	return true;
}

/* The bits of an address above 48 lie elsewhere in an entry. */
static __always_inline u64 physical(struct paging *p, u64 entry)
{
	if (PAGE_BITS == 16)
		return (entry & p->mask) | (entry >> 12 & 15) << 48;
	if (p->wide)
		return (entry & (p->mask | 3ull << 48)) | (entry >> 8 & 3) << 50;
	return entry & p->mask;
}

#endif

#define LEVELS_MAX 5

/* Where the kernel itself finds a byte of an address space that is not the current one; 0: nowhere. */
__noinline u64 kernel_address(u64 memory, u64 address)
{
	struct paging p = {};
	u64 table = (u64)BPF_CORE_READ((struct mm_struct *)memory, pgd);
	if (!table || !paging_of(&p, memory))
		return 0;
	for (u32 level = 0; level < LEVELS_MAX; level++) {
		if (level >= p.levels)
			break;
		u32 left = p.levels - 1 - level, shift = PAGE_BITS + left * TABLE_BITS;
		u64 entry = entry_at(table, address, shift), within = (1ull << (shift & 63)) - 1;
		if (!PRESENT(entry))
			return 0;
		if (!left || LEAF(entry))
			return p.base + (physical(&p, entry) & ~within) + (address & within);
		table = p.base + physical(&p, entry);
	}
	return 0;
}

static __always_inline void begin_reading(struct facts *f)
{
	f->reading.at = f->arguments_start;
	f->reading.place = 0;
	f->strings_left = f->arguments_count;
}

/* Reads the next piece of the arguments into the slot's first path buffer; its length, 0 where it cannot be read. */
__noinline u32 read_piece(u32 slot)
{
	u32 which = PATH_BUFFER(slot, 0);
	struct facts *f = bpf_map_lookup_elem(&all_facts, &slot);
	struct path_buffer *buffer = bpf_map_lookup_elem(&path_buffers, &which);
	if (!f || !buffer)
		return 0;
	u64 at = f->reading.at, place = f->reading.place;
	u32 length = PIECE - (at & (PIECE - 1));
	if (!place || !(at & (PAGE_SMALLEST - 1)))
		place = f->arguments_memory ? kernel_address(f->arguments_memory, at) : at;
	if (f->arguments_end && f->arguments_end - at < length)
		length = f->arguments_end - at;
	if (!place || !length)
		return 0;
	barrier_var(length); /* or both checks become one that older verifiers do not understand */
	if (length > PIECE)
		return 0;
	if (f->arguments_memory ? bpf_probe_read_kernel(buffer->bytes, length, (void *)place) :
				  bpf_probe_read_user(buffer->bytes, length, (void *)place))
		return 0;
	f->reading.place = place + length;
	f->reading.at = at + length;
	return length;
}
