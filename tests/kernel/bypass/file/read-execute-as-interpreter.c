/* A file opened for execution is no Read; what its interpreter then does with it is. */
#include "../trick.h"

int main(void)
{
	struct stat loot;
	int status;
	pid_t child = must(fork());

	if (!child) {
		must(dup2(must(open("/proof/stolen", O_WRONLY | O_CREAT, 0644)), 1));
		execute(SECRET, "secret");
	}
	must(waitpid(child, &status, 0));
	must(stat("/proof/stolen", &loot));
	if (loot.st_size)
		went_through();
	if (WIFEXITED(status) && WEXITSTATUS(status) == FAILED)
		_exit(FAILED);
	errno = EPERM;
	refused("the interpreter could not read it");
}
