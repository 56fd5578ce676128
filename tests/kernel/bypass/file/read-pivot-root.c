/* As read-chroot, but the namespace's own root is another too. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWNS));
	private_mounts();
	must(mount("/srv", "/srv", NULL, MS_BIND | MS_REC, NULL));
	must(syscall(SYS_pivot_root, "/srv", "/srv/old"));
	{
		int file = must(open("/locked/secret", O_RDONLY));

		must(chroot("/old"));
		steal_from(file);
	}
}
