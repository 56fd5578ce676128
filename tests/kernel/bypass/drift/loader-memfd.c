/* The loader reads it by /proc/self/fd. */
#include "../trick.h"

int main(void)
{
	int file = must(memfd_create("program", 0));
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	copy("/usr/bin/marked-dynamic", path);
	{
		int status;
		pid_t child = must(fork());

		if (!child)
			execute("/lib64/ld-linux-x86-64.so.2", "ld.so", path);
		must(waitpid(child, &status, 0));
		if (!access("/proof/ran", F_OK))
			went_through();
		/* The loader tells a refused mapping by its exit status. */
		if (WIFEXITED(status) && WEXITSTATUS(status) == FAILED)
			_exit(FAILED);
		errno = EPERM;
		refused("the loader's mapping");
	}
}
