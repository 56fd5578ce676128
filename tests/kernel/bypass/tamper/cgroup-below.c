/* Another cgroup id, within the container all the same. */
#include "../trick.h"

int main(void)
{
	must(mkdir("/tmp/cgroup", 0755));
	must(mount("cgroup2", "/tmp/cgroup", "cgroup2", 0, NULL));
	{
		char line[PATH_MAX], path[2 * PATH_MAX], *own;
		FILE *file = fopen("/proc/self/cgroup", "r");

		do {
			if (!file || !fgets(line, sizeof(line), file))
				failed("the line of cgroup v2 in /proc/self/cgroup");
		} while (strncmp(line, "0::", 3));
		own = line + 3;
		own[strcspn(own, "\n")] = 0;
		snprintf(path, sizeof(path), "/tmp/cgroup%s/below", own);
		must(mkdir(path, 0755));
		strcat(path, "/cgroup.procs");
		write_file(path, "0");
		execute(MARK, "mark");
	}
}
