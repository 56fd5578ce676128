/* mmap2, number 192 there. */
#include "../compat.h"

static uint32_t arguments[6];

/* mov $42, %eax; ret */
static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };

static void write_code(int file)
{
	must(ftruncate(file, 4096));
	must(pwrite(file, code, sizeof(code), 0));
}

static _Noreturn void run(void *mapping)
{
	if (((int (*)(void))mapping)() != 42)
		failed("the code did something else");
	prove();
	went_through();
}

int main(void)
{
	int file = must(open("/tmp/new", O_RDWR | O_CREAT, 0644));

	write_code(file);
	{
		/* The sixth argument, the offset, goes in a register that C cannot name: the old call takes all from memory. */
		arguments[1] = 4096;
		arguments[2] = PROT_READ | PROT_EXEC;
		arguments[3] = MAP_PRIVATE;
		arguments[4] = file;
		run((void *)(uintptr_t)must(compat_address(90 /* mmap */, narrow(arguments))));
	}
}
