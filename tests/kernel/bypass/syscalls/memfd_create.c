/* No hook of the security module guards this one. */
#include "../trick.h"

int main(void)
{
	must(syscall(SYS_memfd_create, "moat", 0));
	prove();
	went_through();
}
