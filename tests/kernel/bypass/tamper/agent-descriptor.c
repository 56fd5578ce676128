/* pidfd_getfd: its maps and links, one by one. */
#include "../agent.h"

int main(void)
{
	must(syscall(SYS_pidfd_getfd, must(syscall(SYS_pidfd_open, agent(), 0)), 0, 0));
	prove();
	went_through();
}
