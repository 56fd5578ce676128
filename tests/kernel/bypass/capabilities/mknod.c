/* Major 1, minor 3: null. */
#include "../trick.h"

int main(void)
{
	must(mknod("/tmp/device", S_IFCHR | 0666, 0x103));
	went_through();
}
