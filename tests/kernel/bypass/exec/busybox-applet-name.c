/* `busybox sh`: held by the second rule of examples/no-shells.yaml. */
#include "../trick.h"

int main(void)
{
	execute("/bin/busybox", "busybox", "sh", "-c", "> /proof/ran");
}
