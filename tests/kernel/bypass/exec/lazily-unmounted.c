/* MNT_DETACH leaves a mount without a parent; d_path calls it "(unreachable)". */
#include "../trick.h"

int main(void)
{
	must(mount("/usr/bin", "/tmp/other", NULL, MS_BIND, NULL));
	must(chdir("/tmp/other"));
	must(umount2("/tmp/other", MNT_DETACH));
	execute("./mark", "mark");
}
