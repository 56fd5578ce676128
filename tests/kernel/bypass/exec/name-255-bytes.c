/* The kernel's own copy of the name ends after 15 bytes, and many a buffer after 64. */
#include "../trick.h"

int main(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/tmp/%0251devil", 0);
	copy(MARK, path);
	execute(path, "mark");
}
