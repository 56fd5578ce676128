/* A read-only mount made writable, or, as here, the other way. */
#include "../trick.h"

int main(void)
{
	struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };

	must(syscall(SYS_mount_setattr, AT_FDCWD, "/volume", 0, &attributes, sizeof(attributes)));
	if (open("/volume/new", O_WRONLY | O_CREAT, 0644) >= 0)
		failed("the mount is still writable");
	prove();
	went_through();
}
