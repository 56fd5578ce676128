/* Same inode, a name that no rule knows. */
#include "../trick.h"

int main(void)
{
	steal_from(must(open("/tmp/other", O_RDONLY)));
}
