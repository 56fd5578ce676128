/* The way around every filter of system calls. */
#include "../trick.h"

int main(void)
{
	unsigned parameters[32] = { 0 };
	int ring = syscall(SYS_io_uring_setup, 1, parameters);

	must(ring);
	prove();
	went_through();
}
