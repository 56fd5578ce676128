/* A container is known by its cgroup: whoever may write cgroup.procs may leave it. */
#include "../trick.h"

int main(void)
{
	must(mkdir("/tmp/cgroup", 0755));
	must(mount("cgroup2", "/tmp/cgroup", "cgroup2", 0, NULL));
	write_file("/tmp/cgroup/cgroup.procs", "0");
	execute(MARK, "mark");
}
