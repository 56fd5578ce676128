/* The other direction, and another hook. */
#include "../trick.h"

int main(void)
{
	pid_t child = must(fork());
	int status;

	if (!child) {
		must(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
		raise(SIGSTOP);
		_exit(FAILED);
	}
	must(waitpid(child, &status, 0));
	if (!WIFSTOPPED(status))
		_exit(WIFSIGNALED(status) ? REFUSED : WEXITSTATUS(status));
	kill(child, SIGKILL);
	prove();
	went_through();
}
