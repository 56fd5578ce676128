/* The launcher goes to a cgroup of its own, once it has made the child: in the tree they are of different cgroups. */
#include "../trick.h"

int main(int count, char **arguments)
{
	char line[PATH_MAX], path[2 * PATH_MAX], *own;
	int pipe_ends[2];
	pid_t child;

	(void)arguments;
	if (count == 2) {
		FILE *file = fopen("/proc/self/cgroup", "r");

		must(mkdir("/tmp/cgroup", 0755));
		must(mount("cgroup2", "/tmp/cgroup", "cgroup2", 0, NULL));
		do {
			if (!file || !fgets(line, sizeof(line), file))
				failed("the line of cgroup v2 in /proc/self/cgroup");
		} while (strncmp(line, "0::", 3));
		own = line + 3;
		own[strcspn(own, "\n")] = 0;
		must(pipe2(pipe_ends, O_CLOEXEC));
		child = must(fork());
		if (!child) {
			must(dup2(pipe_ends[0], 0));
			execute("/bin/sh", "sh", "-c", "read line; exec /usr/bin/mark 2>&1");
		}
		snprintf(path, sizeof(path), "/tmp/cgroup%s/below", own);
		must(mkdir(path, 0755));
		strcat(path, "/cgroup.procs");
		write_file(path, "0");
		must(write(pipe_ends[1], "\n", 1));
		must(waitpid(child, NULL, 0));
		_exit(0);
	}
	copy("/proc/self/exe", "/tmp/launcher");
	child = must(fork());
	if (!child)
		execute("/tmp/launcher", "launcher", "go");
	must(waitpid(child, NULL, 0));
	if (!access("/proof/ran", F_OK))
		went_through();
	errno = EPERM;
	refused("exec in the shell");
}
