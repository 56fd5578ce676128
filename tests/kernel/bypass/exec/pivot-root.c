/* As chroot, but the mount namespace's own root is another too. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWNS));
	private_mounts();
	must(mount("/usr", "/usr", NULL, MS_BIND | MS_REC, NULL));
	must(syscall(SYS_pivot_root, "/usr", "/usr/old"));
	must(chdir("/"));
	execute("/bin/mark", "mark", "/old/proof/ran");
}
