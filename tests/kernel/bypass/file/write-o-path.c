/* O_PATH asks for nothing. */
#include "../trick.h"

int main(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%ld", must(open(SECRET, O_PATH)));
	overwrite(must(open(path, O_WRONLY)));
}
