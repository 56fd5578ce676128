/* A neighbour with a root directory and a mount namespace of its own lends its view. */
#include "../trick.h"

int main(void)
{
	int ready[2];
	char path[64], byte;
	pid_t neighbour;

	must(pipe(ready));
	neighbour = must(fork());
	if (!neighbour) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		must(unshare(CLONE_NEWNS));
		must(chroot("/srv"));
		must(write(ready[1], "", 1));
		pause();
	}
	close(ready[1]);
	must(read(ready[0], &byte, 1));
	snprintf(path, sizeof(path), "/proc/%d/root/locked/secret", neighbour);
	steal_from(must(open(path, O_RDONLY)));
}
