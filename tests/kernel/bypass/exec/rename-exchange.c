/* RENAME_EXCHANGE with the ruled file as the *new* name: whoever judges only the old one lets it pass. */
#include "../trick.h"

int main(void)
{
	must(syscall(SYS_renameat2, AT_FDCWD, "/tmp/other", AT_FDCWD, MARK, 2 /* RENAME_EXCHANGE */));
	execute("/tmp/other", "other");
}
