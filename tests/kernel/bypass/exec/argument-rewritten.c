/*
 * Passes whoever reads the arguments from the caller's memory: between the look and the kernel's own copy
 * another thread changes them. The file that `mark` makes tells which of the two it was given.
 */
#include "../trick.h"
#include <pthread.h>

/* The four bytes that differ begin at a multiple of four: they change all at once. */
static char room[16] __attribute__((aligned(8))) = "\0/proof/safe";
static char *const path = room + 1;
static int flipping;

static void linger(void)
{
	for (volatile int turn = 0; turn < 100; turn++)
		;
}

static void *flip(void *unused)
{
	uint32_t *last = (uint32_t *)(room + 8), evil, safe;

	(void)unused;
	memcpy(&safe, "safe", 4);
	memcpy(&evil, "evil", 4);
	/* Without a pause: on one processor, what is there when the clock's tick ends its turn is a matter of luck. */
	for (;;) {
		__atomic_store_n(last, evil, __ATOMIC_RELAXED);
		linger();
		__atomic_store_n(last, safe, __ATOMIC_RELAXED);
		linger();
		__atomic_store_n(&flipping, 1, __ATOMIC_RELAXED);
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
			while (!__atomic_load_n(&flipping, __ATOMIC_RELAXED))
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
