/* Every file below is another then. */
#include "../trick.h"

int main(void)
{
	must(mkdir("/srv/new", 0755));
	write_file("/srv/new/secret", "other\n");
	must(syscall(SYS_renameat2, AT_FDCWD, "/srv/new", AT_FDCWD, LOCKED, 2 /* RENAME_EXCHANGE */));
	went_through();
}
