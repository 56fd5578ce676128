/* The directory's path is the mount point's. */
#include "../trick.h"

int main(void)
{
	must(mount(LOCKED, "/tmp/other", NULL, MS_BIND, NULL));
	must(unlink("/tmp/other/secret"));
	went_through();
}
