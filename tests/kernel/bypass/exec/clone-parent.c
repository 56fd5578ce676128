/* CLONE_PARENT: the parent that the kernel notes is not the one that made it. */
#include "../trick.h"

int main(int count, char **arguments)
{
	pid_t child;

	(void)arguments;
	if (count == 2) {
		/* CLONE_PARENT takes the creator's own exit signal. */
		if (must(syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL)))
			_exit(0);
		execute("/bin/busybox", "env", MARK);
	}
	copy("/proc/self/exe", "/tmp/launcher");
	child = must(fork());
	if (!child)
		execute("/tmp/launcher", "launcher", "go");
	must(waitpid(child, NULL, 0));
	must(waitpid(-1, NULL, 0));
	if (!access("/proof/ran", F_OK))
		went_through();
	errno = EPERM;
	refused("exec in env");
}
