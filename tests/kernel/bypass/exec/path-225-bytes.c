/* Longer than the 128 bytes that some keep of a path, near the 240 that a rule may have. */
#include "../trick.h"

int main(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/deep/%0100d/%0100d/mark-123456789012", 1, 2);
	execute(path, "mark");
}
