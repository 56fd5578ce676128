/* open_tree(OPEN_TREE_CLONE): the walk over the mounts never reaches the container's root. */
#include "../trick.h"

int main(void)
{
	int tree = must(syscall(SYS_open_tree, AT_FDCWD, "/srv/locked", OPEN_TREE_CLONE));

	steal_from(must(openat(tree, "secret", O_RDONLY)));
}
