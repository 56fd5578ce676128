/* The file is not on the container's root file system: the path within that says nothing. */
#include "../trick.h"

int main(void)
{
	must(mount("/volume", "/tmp/other", NULL, MS_BIND, NULL));
	steal_from(must(open("/tmp/other/secret", O_RDONLY)));
}
