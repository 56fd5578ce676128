/* Sixty-four executions that move the argument a byte at a time over the place where the pages meet. */
#include "../trick.h"

int main(void)
{
	static char filler[4200];
	char *quiet[] = { NULL };
	int ran = 0;

	for (int shift = 0; shift < 64; shift++) {
		char *arguments[] = { "mark", "/proof/ran", filler, "--evil", NULL };
		int status;
		pid_t child;

		memset(filler, 'x', sizeof(filler));
		filler[4060 + shift] = 0;
		child = must(fork());
		if (!child)
			must(execve(MARK, arguments, quiet));
		must(waitpid(child, &status, 0));
		if (WIFEXITED(status) && WEXITSTATUS(status) == WENT_THROUGH)
			ran++;
		else if (!WIFSIGNALED(status) && WEXITSTATUS(status) != REFUSED)
			_exit(FAILED);
	}
	if (ran)
		went_through();
	errno = EPERM;
	refused("all 64 executions");
}
