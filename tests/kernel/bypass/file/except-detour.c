/* The exception is the path that is opened, not one that was named on the way. */
#include "../trick.h"

int main(void)
{
	must(symlink("locked", "/srv/alias"));
	steal_from(must(open("/srv/alias/../locked/open/../secret", O_RDONLY)));
}
