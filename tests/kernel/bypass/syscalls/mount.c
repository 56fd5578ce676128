/* The plain one. */
#include "../trick.h"

int main(void)
{
	must(mount("/tmp/here", "/tmp/there", NULL, MS_BIND, NULL));
	if (access("/tmp/there/file", F_OK))
		failed("the mount is not there");
	prove();
	went_through();
}
