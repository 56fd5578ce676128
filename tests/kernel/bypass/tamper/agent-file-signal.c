/* F_SETOWN and F_SETSIG: the kernel sends it, when the pipe is written. */
#include "../agent.h"

int main(void)
{
	int ends[2];
	pid_t target = agent();

	must(pipe(ends));
	must(fcntl(ends[0], F_SETOWN, target));
	must(fcntl(ends[0], F_SETSIG, SIGSTOP));
	must(fcntl(ends[0], F_SETFL, O_ASYNC));
	must(write(ends[1], "x", 1));
	/* A signal that is held back leaves no errno. */
	if (!stopped(target)) {
		errno = EPERM;
		refused("the signal of the pipe");
	}
	prove_stopped(target);
	went_through();
}
