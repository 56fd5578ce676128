/* With the root at /usr, the path is /bin/mark. */
#include "../trick.h"

int main(void)
{
	must(chdir("/"));
	must(chroot("/usr"));
	/* The working directory is still the container's root: the way to the proof. */
	execute("/bin/mark", "mark", "proof/ran");
}
