/* busybox takes a leading dash off the name. */
#include "../trick.h"

int main(void)
{
	execute("/bin/busybox", "-sh", "-c", "> /proof/ran");
}
