/* Number 26 there is ptrace; here it is msync. */
#include "../compat.h"

int main(void)
{
	pid_t child = must(fork());

	if (!child)
		pause();
	must(compat(26 /* ptrace */, PTRACE_ATTACH, child, 0));
	must(waitpid(child, NULL, __WALL));
	kill(child, SIGKILL);
	prove();
	went_through();
}
