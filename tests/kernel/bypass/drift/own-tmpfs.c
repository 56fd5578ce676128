/* As volume, and nobody gave it. */
#include "../trick.h"

int main(void)
{
	must(mkdir("/tmp/here", 0755));
	must(mount("tmpfs", "/tmp/here", "tmpfs", 0, NULL));
	copy(MARK, "/tmp/here/mark");
	execute("/tmp/here/mark", "mark");
}
