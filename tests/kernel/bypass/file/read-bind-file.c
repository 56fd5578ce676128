/* Its path is the mount point's. */
#include "../trick.h"

int main(void)
{
	must(mount(SECRET, "/tmp/other", NULL, MS_BIND, NULL));
	steal_from(must(open("/tmp/other", O_RDONLY)));
}
