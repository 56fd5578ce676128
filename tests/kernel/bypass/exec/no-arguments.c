/* No argv[0]: since Linux 5.18 the kernel puts an empty one in its place. */
#include "../trick.h"

int main(void)
{
	char *arguments[] = { NULL };

	must(execve(MARK, arguments, environ));
	return FAILED;
}
