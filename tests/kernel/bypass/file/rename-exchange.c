/* RENAME_EXCHANGE with the ruled file as the new name. */
#include "../trick.h"

int main(void)
{
	write_file("/tmp/new", "other\n");
	must(syscall(SYS_renameat2, AT_FDCWD, "/tmp/new", AT_FDCWD, SECRET, 2 /* RENAME_EXCHANGE */));
	went_through();
}
