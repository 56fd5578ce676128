/* Another call than open, and an absolute path that begins elsewhere. */
#include "../trick.h"
#include <linux/openat2.h>

int main(void)
{
	struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_IN_ROOT };
	int root = must(open("/srv", O_PATH | O_DIRECTORY));

	steal_from(must(syscall(SYS_openat2, root, "/locked/secret", &how, sizeof(how))));
}
