/* In a mount namespace of its own. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWNS));
	private_mounts();
	must(mount("/tmp/here", "/tmp/here", NULL, MS_BIND, NULL));
	must(chdir("/tmp/here"));
	/* The old root is stacked below the new one: the way to the proof is the descriptor. */
	{
		int proof = must(open("/proof", O_PATH | O_DIRECTORY));

		must(syscall(SYS_pivot_root, ".", "."));
		must(openat(proof, "ran", O_WRONLY | O_CREAT, 0644));
	}
	went_through();
}
