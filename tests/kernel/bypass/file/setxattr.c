/* A peer that makes files read-only lets this pass. */
#include "../trick.h"
#include <sys/xattr.h>

int main(void)
{
	must(setxattr(SECRET, "trusted.moat", "x", 1, 0));
	went_through();
}
