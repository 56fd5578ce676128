/* KEXEC_FILE_UNLOAD: the kernel that is not there. */
#include "../trick.h"

int main(void)
{
	must(syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 1 /* KEXEC_FILE_UNLOAD */));
	prove();
	went_through();
}
