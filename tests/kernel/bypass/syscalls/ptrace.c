/* Attached, and proven by a register read. */
#include "../trick.h"

int main(void)
{
	pid_t child = must(fork());

	if (!child)
		pause();
	must(ptrace(PTRACE_ATTACH, child, NULL, NULL));
	must(waitpid(child, NULL, __WALL));
	must(ptrace(PTRACE_PEEKUSER, child, NULL, NULL));
	kill(child, SIGKILL);
	prove();
	went_through();
}
