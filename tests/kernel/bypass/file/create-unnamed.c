/* O_TMPFILE and linkat: the name comes last, and as a link. */
#include "../trick.h"

int main(void)
{
	char path[64];
	int file = must(open("/srv/locked", O_TMPFILE | O_WRONLY, 0644));

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	must(linkat(AT_FDCWD, path, AT_FDCWD, "/srv/locked/new", AT_SYMLINK_FOLLOW));
	went_through();
}
