/* The call is allowed, the capability is not. */
#include "../trick.h"

int main(void)
{
	must(chdir("/"));
	must(chroot("/tmp"));
	must(chroot("."));
	prove();
	went_through();
}
