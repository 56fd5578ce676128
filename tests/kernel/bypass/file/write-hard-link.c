/* Same inode, a name that no rule knows. */
#include "../trick.h"

int main(void)
{
	overwrite(must(open("/tmp/other", O_WRONLY)));
}
