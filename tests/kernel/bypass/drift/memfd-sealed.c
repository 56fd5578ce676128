/* Sealed: as unchangeable as the image, but not of it. */
#include "../trick.h"

int main(void)
{
	char *arguments[] = { "mark", NULL };
	int file = must(memfd_create("mark", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	copy(MARK, path);
	must(fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	must(syscall(SYS_execveat, file, "", arguments, environ, AT_EMPTY_PATH));
	return FAILED;
}
