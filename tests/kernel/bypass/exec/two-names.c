/* By its third name the program is known as that inode: by the rules of both. */
#include "../trick.h"

int main(void)
{
	execute("/srv/third", "third");
}
