/* KillProcess: the call has no effect, and the caller does not live to see it. */
#include "../trick.h"

int main(void)
{
	pid_t child = must(fork());

	if (!child)
		pause();
	must(ptrace(PTRACE_SEIZE, child, NULL, NULL));
	kill(child, SIGKILL);
	prove();
	went_through();
}
