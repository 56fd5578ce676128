/* The shell has to open it to run it. A failure of the shell's own is told by its exit status, 2 for "cannot open". */
#include "../trick.h"

int main(void)
{
	int status;
	pid_t child = must(fork());

	if (!child)
		execute("/bin/sh", "sh", "/usr/bin/script.sh");
	must(waitpid(child, &status, 0));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		went_through();
	if (access("/usr/bin/script.sh", F_OK))
		failed("the script is gone");
	errno = EACCES;
	refused("sh could not read the script");
}
