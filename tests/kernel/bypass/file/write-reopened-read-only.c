/* /proc/self/fd makes of an open that is allowed one that is not. */
#include "../trick.h"

int main(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%ld", must(open(SECRET, O_RDONLY)));
	overwrite(must(open(path, O_RDWR)));
}
