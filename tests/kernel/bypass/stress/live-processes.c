/* A table of processes that is full must not mean "allowed". */
#include "../trick.h"

enum { COUNT = 10000, STACK = 2048 };

static pid_t children[COUNT];

static int wait_for_the_end(void *unused)
{
	(void)unused;
	return pause();
}

static int launcher(void)
{
	char *stacks = (char *)must(mmap(NULL, (size_t)COUNT * STACK, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int ran = 0, refusals = 0;

	/* They share this one's memory: what costs is the number of them. */
	for (int i = 0; i < COUNT; i++)
		children[i] = must(clone(wait_for_the_end, stacks + (size_t)(i + 1) * STACK, CLONE_VM | SIGCHLD, NULL));
	for (int i = 0; i < 50; i++) {
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
	for (int i = 0; i < COUNT; i++)
		kill(children[i], SIGKILL);
	for (int i = 0; i < COUNT; i++)
		must(waitpid(children[i], NULL, 0));
	dprintf(2, "%d ran, %d were refused\n", ran, refusals);
	if (ran)
		went_through();
	if (refusals != 50)
		_exit(FAILED);
	errno = EPERM;
	refused("every execve");
}

int main(int count, char **arguments)
{
	(void)arguments;
	if (count == 2)
		launcher();
	copy("/proc/self/exe", "/tmp/launcher");
	execute("/tmp/launcher", "launcher", "go");
}
