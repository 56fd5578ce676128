/* The file is busybox, the link is called harmless, and argv[0] makes it a shell. */
#include "../trick.h"

int main(void)
{
	execute("/tmp/harmless", "sh", "-c", "> /proof/ran");
}
