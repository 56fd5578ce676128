/* A namespace that misses in a table of containers must not mean "allowed". */
#include "../trick.h"

int main(void)
{
	pid_t child;

	must(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP));
	child = must(fork());
	if (!child)
		execute(MARK, "mark");
	end_as(child);
}
