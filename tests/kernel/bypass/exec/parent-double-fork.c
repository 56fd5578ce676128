/* The daemon's way to lose its parents. */
#include "../trick.h"

int main(int count, char **arguments)
{
	pid_t child;

	(void)arguments;
	if (count == 2) {
		/* The launcher: goes, and leaves a grandchild that nothing leads back from. */
		if (must(fork()))
			_exit(0);
		must(setsid());
		if (must(fork()))
			_exit(0);
		execute(MARK, "mark");
	}
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	copy("/proc/self/exe", "/tmp/launcher");
	child = must(fork());
	if (!child)
		execute("/tmp/launcher", "launcher", "go");
	/* The last of three to end is the one that counts. */
	must(waitpid(child, NULL, 0));
	must(waitpid(-1, NULL, 0));
	end_as(-1);
}
