/* By its third name the file is known as that inode: by the rules of both. */
#include "../trick.h"

int main(void)
{
	steal_from(must(open("/srv/third", O_RDONLY)));
}
