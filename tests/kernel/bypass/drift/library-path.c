/* LD_LIBRARY_PATH: the program is allowed, and the code is the attacker's. */
#include "../trick.h"

int main(void)
{
	must(setenv("LD_LIBRARY_PATH", "/tmp/library", 1));
	{
		int status;
		pid_t child = must(fork());

		if (!child)
			execute("/usr/bin/marked-dynamic", "marked-dynamic");
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
