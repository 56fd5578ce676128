/* fsmount gives a descriptor: there is no path, and no mount point. */
#include "../trick.h"

int main(void)
{
	char *arguments[] = { "mark", NULL };
	int context = must(syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC)), tree;

	must(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	tree = must(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0));
	must(fchdir(tree));
	copy("/usr/bin/mark", "mark");
	must(syscall(SYS_execveat, tree, "mark", arguments, environ, 0));
	return FAILED;
}
