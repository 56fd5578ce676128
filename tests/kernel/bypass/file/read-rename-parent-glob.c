/* As read-rename-parent; a glob has no inode to know the file by. */
#include "../trick.h"

int main(void)
{
	must(rename("/srv/locked", "/srv/other"));
	steal_from(must(open("/srv/other/deep/secret", O_RDONLY)));
}
