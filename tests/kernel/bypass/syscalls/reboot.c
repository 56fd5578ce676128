/* In a pid namespace of its own, where it ends that and nothing else. */
#include "../trick.h"

int main(void)
{
	pid_t first;
	int status;

	must(unshare(CLONE_NEWPID));
	first = must(fork());
	if (!first) {
		if (getpid() != 1)
			_exit(FAILED);
		if (must(fork()))
			end_as(-1);
		must(syscall(SYS_reboot, 0xfee1dead, 672274793, 0x01234567 /* RESTART */, NULL));
		_exit(FAILED);
	}
	must(waitpid(first, &status, 0));
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	if (WTERMSIG(status) != SIGHUP)
		_exit(REFUSED);
	prove();
	went_through();
}
