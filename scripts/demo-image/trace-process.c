/*
 * The attack "read another process's memory": starts a process and attaches to it as a debugger does. Prints what it
 * got, or the error that stopped it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(void)
{
	pid_t self = getpid();
	pid_t victim = fork();
	int status = 0;

	if (victim == 0) {
		/* Who holds the output open keeps the session going. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == self)
			pause();
		return 0;
	}
	if (victim < 0 || ptrace(PTRACE_SEIZE, victim, 0, PTRACE_O_EXITKILL) < 0) {
		fprintf(stderr, "trace-process: attach: %s\n", strerror(errno));
		status = 1;
	} else {
		printf("attached to another process\n");
	}
	if (victim > 0)
		kill(victim, SIGKILL);
	return status;
}
