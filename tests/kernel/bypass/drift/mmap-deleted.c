/* It had a name when it was written. */
#include "../trick.h"

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
	must(unlink("/tmp/new"));
	run((void *)must(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0)));
}
