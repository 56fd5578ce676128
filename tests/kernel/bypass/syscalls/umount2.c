/* What lay below is bare then. */
#include "../trick.h"

int main(void)
{
	must(umount2("/volume", MNT_DETACH));
	if (!access("/volume/file", F_OK))
		failed("the mount is still there");
	prove();
	went_through();
}
