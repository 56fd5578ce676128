/* Passes whoever knows containers by their pid namespace. */
#include "../trick.h"

int main(void)
{
	pid_t child;

	must(unshare(CLONE_NEWPID));
	child = must(fork());
	if (!child)
		execute(MARK, "mark");
	end_as(child);
}
