/* No module at all: ENOEXEC comes after every check of whether the caller may. */
#include "../trick.h"

int main(void)
{
	if (syscall(SYS_finit_module, must(open("/etc/passwd", O_RDONLY)), "", 0) == 0 || errno != ENOEXEC)
		judged("finit_module", -1);
	prove();
	went_through();
}
