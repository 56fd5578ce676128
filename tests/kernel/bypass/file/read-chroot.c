/* With the root at /srv, the path is /locked/secret. */
#include "../trick.h"

int main(void)
{
	must(chdir("/"));
	must(chroot("/srv"));
	{
		int file = must(open("/locked/secret", O_RDONLY));

		/* Back to where the proof is: the working directory never left. */
		must(chroot("."));
		steal_from(file);
	}
}
