/* A peer that makes files read-only lets this pass. */
#include "../trick.h"
#include <sys/xattr.h>

int main(void)
{
	must(setxattr(SECRET, "trusted.moat", "x", 1, 0));
	if (getxattr(SECRET, "trusted.moat", NULL, 0) != 1)
		failed("the attribute is not there");
	prove();
	went_through();
}
