/* /proc/self/fd/N looks like a path. */
#include "../trick.h"

int main(void)
{
	int file = must(memfd_create("mark", MFD_CLOEXEC));
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	copy(MARK, path);
	execute(path, "mark");
}
