/* The mode belongs to the inode. */
#include "../trick.h"

int main(void)
{
	must(chmod("/tmp/other", 0666));
	went_through();
}
