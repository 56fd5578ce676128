/* The oldest of them. */
#include "../trick.h"

int main(void)
{
	must(chdir("/"));
	must(chroot("/tmp/here"));
	must(access("/file", F_OK));
	must(chroot("."));
	prove();
	went_through();
}
