/* O_TMPFILE. */
#include "../trick.h"

int main(void)
{
	char *arguments[] = { "mark", NULL };
	char path[64];
	int writer = must(open("/volume", O_TMPFILE | O_RDWR | O_CLOEXEC, 0755)), file;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", writer);
	file = must(open(path, O_RDONLY | O_CLOEXEC));
	copy(MARK, path);
	/* Open for writing it would be "text file busy". */
	close(writer);
	must(syscall(SYS_execveat, file, "", arguments, environ, AT_EMPTY_PATH));
	return FAILED;
}
