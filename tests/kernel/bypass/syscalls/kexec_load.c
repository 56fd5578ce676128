/* Without a segment it unloads the kernel that is not there. */
#include "../trick.h"

int main(void)
{
	must(syscall(SYS_kexec_load, 0, 0, NULL, 0));
	prove();
	went_through();
}
