/* Programs that copy a component into 64 bytes lose the path from here on. */
#include "../trick.h"

int main(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/deep/%0200d/mark", 7);
	execute(path, "mark");
}
