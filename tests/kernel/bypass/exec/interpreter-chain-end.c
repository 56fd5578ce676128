/* Three scripts deep; the kernel allows five. */
#include "../trick.h"

int main(void)
{
	execute("/tmp/outer", "outer");
}
