/* No swap area: EINVAL comes after the check of whether the caller may. */
#include "../trick.h"

int main(void)
{
	if (syscall(SYS_swapon, "/volume/area", 0) == 0 || errno != EINVAL)
		judged("swapon", -1);
	prove();
	went_through();
}
