/* The loader is the image's; what it maps is not. */
#include "../trick.h"

int main(void)
{
	copy("/usr/bin/marked-dynamic", "/tmp/copy");
	int status;
	pid_t child = must(fork());

	if (!child)
		execute("/lib64/ld-linux-x86-64.so.2", "ld.so", "/tmp/copy");
	must(waitpid(child, &status, 0));
	if (!access("/proof/ran", F_OK))
		went_through();
	/* The loader tells a refused mapping by its exit status. */
	if (WIFEXITED(status) && WEXITSTATUS(status) == FAILED)
		_exit(FAILED);
	errno = EPERM;
	refused("the loader's mapping");
}
