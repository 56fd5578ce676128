/* The flags are out of seccomp's reach; the capability is asked for all the same. */
#include "../trick.h"
#include <linux/sched.h>

int main(void)
{
	struct clone_args clone = { .flags = CLONE_NEWUTS, .exit_signal = SIGCHLD };
	pid_t child = must(syscall(SYS_clone3, &clone, sizeof(clone)));

	if (!child)
		_exit(0);
	must(waitpid(child, NULL, 0));
	prove();
	went_through();
}
