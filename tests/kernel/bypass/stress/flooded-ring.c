/* A record that finds no room is lost and counted; the verdict stays. */
#include "../trick.h"

enum { FLOODERS = 4, ATTEMPTS = 300 };

int main(void)
{
	pid_t flooders[FLOODERS];
	int ran = 0, refusals = 0;

	for (int i = 0; i < FLOODERS; i++) {
		flooders[i] = must(fork());
		if (flooders[i])
			continue;
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		for (;;)
			close(open("/etc/secret", O_RDONLY));
	}
	for (int i = 0; i < ATTEMPTS; i++) {
		int status;
		pid_t child = must(fork());

		if (!child)
			execute(MARK, "mark");
		must(waitpid(child, &status, 0));
		if (WIFSIGNALED(status) || WEXITSTATUS(status) == REFUSED)
			refusals++;
		else if (WEXITSTATUS(status) == WENT_THROUGH)
			ran++;
	}
	for (int i = 0; i < FLOODERS; i++)
		kill(flooders[i], SIGKILL);
	dprintf(2, "%d ran, %d were refused, of %d\n", ran, refusals, ATTEMPTS);
	if (ran)
		went_through();
	if (refusals != ATTEMPTS)
		_exit(FAILED);
	errno = EPERM;
	refused("every execve");
}
