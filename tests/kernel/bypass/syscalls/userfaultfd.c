/* It stops a kernel in the middle of a copy: half of every race. */
#include "../trick.h"

int main(void)
{
	int file = syscall(SYS_userfaultfd, O_CLOEXEC);

	must(file);
	prove();
	went_through();
}
