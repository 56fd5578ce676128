/* A glob has no inode to know the file by. */
#include "../trick.h"

int main(void)
{
	must(mount("/srv", "/tmp/other", NULL, MS_BIND, NULL));
	steal_from(must(open("/tmp/other/locked/secret", O_RDONLY)));
}
