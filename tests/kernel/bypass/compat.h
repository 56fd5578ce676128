/* System calls by the 32-bit entry of x86-64. Programs are linked below 4 GiB, so static data has narrow addresses. */
#ifndef COMPAT_H
#define COMPAT_H

#include "trick.h"

static void no_compat(int signal)
{
	(void)signal;
	need("the kernel's 32-bit entry");
}

static inline uint32_t narrow(const void *address)
{
	if ((uintptr_t)address > UINT32_MAX)
		need("an address below 4 GiB");
	return (uint32_t)(uintptr_t)address;
}

static inline long compat5(uint32_t number, uint32_t first, uint32_t second, uint32_t third, uint32_t fourth,
			   uint32_t fifth)
{
	int32_t result;

	/* Where the entry is switched off, int 0x80 is a fault. */
	signal(SIGSEGV, no_compat);
	asm volatile("int $0x80"
		     : "=a"(result)
		     : "a"(number), "b"(first), "c"(second), "d"(third), "S"(fourth), "D"(fifth)
		     : "memory", "r8", "r9", "r10", "r11");
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

static inline long compat(uint32_t number, uint32_t first, uint32_t second, uint32_t third)
{
	return compat5(number, first, second, third, 0, 0);
}

/* For calls that return an address: high ones are not errors. */
static inline long compat_address(uint32_t number, uint32_t first)
{
	uint32_t result;

	signal(SIGSEGV, no_compat);
	asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(first) : "memory", "r8", "r9", "r10", "r11");
	if (result < (uint32_t)-4095)
		return result;
	errno = -result;
	return -1;
}

#endif
