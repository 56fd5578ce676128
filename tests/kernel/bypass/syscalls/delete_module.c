/* None of that name: ENOENT comes after the check of whether the caller may. */
#include "../trick.h"

int main(void)
{
	if (syscall(SYS_delete_module, "no_such_module", O_NONBLOCK) == 0 || errno != ENOENT)
		judged("delete_module", -1);
	prove();
	went_through();
}
