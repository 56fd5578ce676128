/* As this process sees it, it is /usr/bin/trusted; as the container does, it is not. */
#include "../trick.h"

int main(int count, char **arguments)
{
	(void)arguments;
	if (count == 2) {
		must(chroot("."));
		steal_from(must(open(SECRET, O_RDONLY)));
	}
	must(mkdir("/tmp/usr", 0755));
	must(mkdir("/tmp/usr/bin", 0755));
	copy("/proc/self/exe", "/tmp/usr/bin/trusted");
	must(chdir("/"));
	must(chroot("/tmp"));
	execute("/usr/bin/trusted", "trusted", "go");
}
