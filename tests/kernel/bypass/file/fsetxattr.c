/* By a descriptor for reading, which is allowed. */
#include "../trick.h"
#include <sys/xattr.h>

int main(void)
{
	must(fsetxattr(must(open(SECRET, O_RDONLY)), "trusted.moat", "x", 1, 0));
	if (getxattr(SECRET, "trusted.moat", NULL, 0) != 1)
		failed("the attribute is not there");
	prove();
	went_through();
}
