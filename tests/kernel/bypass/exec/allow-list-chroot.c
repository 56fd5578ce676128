/* As this process sees it, the path is /bin/busybox; as the container does, it is not. */
#include "../trick.h"

int main(void)
{
	must(chdir("/"));
	must(chroot("/tmp/jail"));
	execute("/bin/busybox", "busybox", "proof/ran");
}
