/* No link of that name is needed. */
#include "../trick.h"

int main(void)
{
	execute("/bin/busybox", "sh", "-c", "> /proof/ran");
}
