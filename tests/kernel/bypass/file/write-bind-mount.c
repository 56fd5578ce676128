/* Its path is the mount point's. */
#include "../trick.h"

int main(void)
{
	must(mount(LOCKED, "/tmp/other", NULL, MS_BIND, NULL));
	overwrite(must(open("/tmp/other/secret", O_WRONLY | O_APPEND)));
}
