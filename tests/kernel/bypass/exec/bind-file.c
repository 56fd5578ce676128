/* Its path is the mount point's. */
#include "../trick.h"

int main(void)
{
	must(mount(MARK, "/tmp/other", NULL, MS_BIND, NULL));
	execute("/tmp/other", "other");
}
