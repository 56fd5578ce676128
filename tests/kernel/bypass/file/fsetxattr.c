/* By a descriptor for reading, which is allowed. */
#include "../trick.h"
#include <sys/xattr.h>

int main(void)
{
	must(fsetxattr(must(open(SECRET, O_RDONLY)), "trusted.moat", "x", 1, 0));
	went_through();
}
