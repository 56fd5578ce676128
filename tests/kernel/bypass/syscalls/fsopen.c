/* Five calls in place of one. */
#include "../trick.h"

int main(void)
{
	int context = must(syscall(SYS_fsopen, "tmpfs", 0)), tree;

	must(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	tree = must(syscall(SYS_fsmount, context, 0, 0));
	close(must(openat(tree, "file", O_WRONLY | O_CREAT, 0644)));
	must(syscall(SYS_move_mount, tree, "", AT_FDCWD, "/tmp/there", MOVE_MOUNT_F_EMPTY_PATH));
	if (access("/tmp/there/file", F_OK))
		failed("the mount is not there");
	prove();
	went_through();
}
