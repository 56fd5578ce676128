/* As rename-parent; a glob has no inode to know the file by. */
#include "../trick.h"

int main(void)
{
	must(rename("/srv/tools", "/srv/other"));
	execute("/srv/other/bin/mark", "mark");
}
