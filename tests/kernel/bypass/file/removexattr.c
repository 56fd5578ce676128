/* Taking an attribute away changes the attributes as well. */
#include "../trick.h"
#include <sys/xattr.h>

int main(int count, char **arguments)
{
	(void)arguments;
	if (count == 2) {
		must(setxattr(SECRET, "trusted.moat", "x", 1, 0));
		return 0;
	}
	must(removexattr(SECRET, "trusted.moat"));
	if (getxattr(SECRET, "trusted.moat", NULL, 0) >= 0)
		failed("the attribute is still there");
	prove();
	went_through();
}
