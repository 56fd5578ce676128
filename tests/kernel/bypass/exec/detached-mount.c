/* open_tree(OPEN_TREE_CLONE): the walk over the mounts ends at once, far from the container's root. */
#include "../trick.h"

int main(void)
{
	char *arguments[] = { "mark", NULL };
	int tree = must(syscall(SYS_open_tree, AT_FDCWD, "/usr/bin", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));

	must(syscall(SYS_execveat, tree, "mark", arguments, environ, 0));
	return FAILED;
}
