/* It runs as user 1000. */
#include "../trick.h"

int main(void)
{
	int status;
	pid_t child = must(fork());

	if (!child) {
		must(setresuid(1000, 1000, 1000));
		pause();
	}
	/* Until it has changed its user the signal would need no capability. */
	for (struct stat owner;;) {
		char path[32];

		snprintf(path, sizeof(path), "/proc/%d", child);
		must(stat(path, &owner));
		if (owner.st_uid == 1000)
			break;
		sched_yield();
	}
	must(kill(child, SIGTERM));
	must(waitpid(child, &status, 0));
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM)
		failed("the child did not die of the signal");
	prove();
	went_through();
}
