/* A rule that names unshare and clone means the namespaces that they make. */
#include "../trick.h"

int main(void)
{
	pid_t child = must(syscall(SYS_clone, CLONE_NEWUTS | SIGCHLD, NULL, NULL, NULL, NULL));

	if (!child)
		_exit(0);
	must(waitpid(child, NULL, 0));
	prove();
	went_through();
}
