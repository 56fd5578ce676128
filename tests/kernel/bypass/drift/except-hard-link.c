/* The exception is a path, not a name. */
#include "../trick.h"

int main(void)
{
	must(mkdir("/tmp/opt", 0755));
	copy(MARK, "/tmp/opt/tool");
	must(chdir("/"));
	must(chroot("/tmp"));
	execute("/opt/tool", "tool", "proof/ran");
}
