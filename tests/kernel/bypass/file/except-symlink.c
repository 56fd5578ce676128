/* The link is excepted, the file is not. */
#include "../trick.h"

int main(void)
{
	must(unlink("/srv/locked/open"));
	must(symlink("secret", "/srv/locked/open"));
	steal_from(must(open("/srv/locked/open", O_RDONLY)));
}
