/* memfd_create and execveat: nothing is ever on a disk. */
#include "../trick.h"

int main(void)
{
	char *arguments[] = { "mark", NULL };
	int file = must(memfd_create("mark", MFD_CLOEXEC));
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	copy(MARK, path);
	must(syscall(SYS_execveat, file, "", arguments, environ, AT_EMPTY_PATH));
	return FAILED;
}
