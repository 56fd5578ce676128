/* The same inode by a name that no rule knows. */
#include "../trick.h"

int main(void)
{
	execute("/tmp/other", "other");
}
