/* Taking an attribute away changes the attributes as well. */
#include "../trick.h"
#include <sys/xattr.h>

int main(int count, char **arguments)
{
	(void)arguments;
	if (count == 2)
		must(setxattr(SECRET, "trusted.moat", "x", 1, 0));
	else
		must(removexattr(SECRET, "trusted.moat"));
	went_through();
}
