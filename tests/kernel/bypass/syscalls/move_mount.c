/* The newer calls do all that mount does. */
#include "../trick.h"

int main(void)
{
	int tree = must(syscall(SYS_open_tree, AT_FDCWD, "/tmp/here", OPEN_TREE_CLONE));

	must(syscall(SYS_move_mount, tree, "", AT_FDCWD, "/tmp/there", MOVE_MOUNT_F_EMPTY_PATH));
	if (access("/tmp/there/file", F_OK))
		failed("the mount is not there");
	prove();
	went_through();
}
