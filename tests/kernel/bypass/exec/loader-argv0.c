/* argv[0] of loader and program say nothing of either. */
#include "../trick.h"

int main(void)
{
	must(symlink("/usr/bin/marked-dynamic", "/tmp/harmless"));
	execute("/lib64/ld-linux-x86-64.so.2", "cat", "--argv0", "cat", "/tmp/harmless");
}
