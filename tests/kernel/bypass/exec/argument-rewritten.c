/*
 * Passes whoever reads the arguments from the caller's memory: between the look and the kernel's own copy
 * another thread changes them. The file that `mark` makes tells which of the two it was given.
 */
#include "../trick.h"
#include <pthread.h>

static char path[] __attribute__((aligned(8))) = "/proof/safe";

static void *flip(void *unused)
{
	uint32_t *last = (uint32_t *)(path + 7), evil, safe;

	(void)unused;
	memcpy(&safe, "safe", 4);
	memcpy(&evil, "evil", 4);
	for (;;) {
		__atomic_store_n(last, evil, __ATOMIC_RELAXED);
		sched_yield();
		__atomic_store_n(last, safe, __ATOMIC_RELAXED);
		sched_yield();
	}
	return NULL;
}

int main(void)
{
	int refusals = 0;

	for (int attempt = 0; attempt < 400; attempt++) {
		int status;
		pid_t child = must(fork());

		if (!child) {
			pthread_t thread;

			if (pthread_create(&thread, NULL, flip, NULL))
				_exit(FAILED);
			/* Let the other thread start, and meet the execve at another moment each time. */
			for (int i = 0; i <= attempt % 8; i++)
				sched_yield();
			execute(MARK, "mark", path);
		}
		must(waitpid(child, &status, 0));
		if (!access("/proof/evil", F_OK))
			went_through();
		if (WIFSIGNALED(status) || WEXITSTATUS(status) == REFUSED)
			refusals++;
		else if (WEXITSTATUS(status))
			_exit(FAILED);
	}
	if (!refusals)
		need("a thread that meets the execve within 400 attempts");
	errno = EPERM;
	refused("every execution with the evil argument");
}
