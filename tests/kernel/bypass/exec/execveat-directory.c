/* The string is only the last component. */
#include "../trick.h"

int main(void)
{
	char *arguments[] = { "mark", NULL };
	int directory = must(open("/usr/bin", O_PATH | O_DIRECTORY | O_CLOEXEC));

	must(syscall(SYS_execveat, directory, "mark", arguments, environ, 0));
	return FAILED;
}
