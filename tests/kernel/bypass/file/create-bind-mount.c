/* The directory's path is the mount point's. */
#include "../trick.h"

int main(void)
{
	must(mount(LOCKED, "/tmp/other", NULL, MS_BIND, NULL));
	must(open("/tmp/other/new", O_WRONLY | O_CREAT, 0644));
	went_through();
}
