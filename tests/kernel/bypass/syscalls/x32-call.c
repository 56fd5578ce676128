/* Bit 30 in the number: another table again, where the kernel has it. */
#include "../trick.h"

int main(void)
{
	pid_t child = must(fork());

	if (!child)
		pause();
	must(syscall(0x40000000 + 521 /* ptrace */, PTRACE_ATTACH, child, NULL, NULL));
	must(waitpid(child, NULL, __WALL));
	kill(child, SIGKILL);
	prove();
	went_through();
}
