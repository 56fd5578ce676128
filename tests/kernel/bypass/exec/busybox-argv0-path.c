/* busybox takes the base name. */
#include "../trick.h"

int main(void)
{
	execute("/bin/busybox", "/no/such/directory/sh", "-c", "> /proof/ran");
}
