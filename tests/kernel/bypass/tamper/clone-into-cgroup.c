/* CLONE_INTO_CGROUP: cgroup.procs is not written. */
#include "../trick.h"
#include <linux/sched.h>

int main(void)
{
	must(mkdir("/tmp/cgroup", 0755));
	must(mount("cgroup2", "/tmp/cgroup", "cgroup2", 0, NULL));
	{
		struct clone_args clone = {
			.flags = CLONE_INTO_CGROUP,
			.exit_signal = SIGCHLD,
			.cgroup = must(open("/tmp/cgroup", O_PATH | O_DIRECTORY)),
		};
		pid_t child = must(syscall(SYS_clone3, &clone, sizeof(clone)));

		if (!child)
			execute(MARK, "mark");
		end_as(child);
	}
}
