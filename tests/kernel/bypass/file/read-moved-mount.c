/* MS_MOVE: there is no second mount, the one that was there has another place. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWNS));
	private_mounts();
	must(mount("/volume", "/tmp/other", NULL, MS_MOVE, NULL));
	steal_from(must(open("/tmp/other/secret", O_RDONLY)));
}
