/* No module at all: ENOEXEC comes after every check of whether the caller may. */
#include "../trick.h"

int main(void)
{
	static char image[256] = "no module";

	if (syscall(SYS_init_module, image, sizeof(image), "") == 0 || errno != ENOEXEC)
		judged("init_module", -1);
	prove();
	went_through();
}
