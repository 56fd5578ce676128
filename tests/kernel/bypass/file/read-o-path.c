/* O_PATH is no open; /proc/self/fd makes it one, without a name. */
#include "../trick.h"

int main(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%ld", must(open(SECRET, O_PATH)));
	steal_from(must(open(path, O_RDONLY)));
}
