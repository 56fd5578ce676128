/* The file is not even called busybox. */
#include "../trick.h"

int main(void)
{
	execute("/tmp/harmless", "sh", "-c", "> /proof/ran");
}
