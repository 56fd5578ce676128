/* The file itself is not touched. */
#include "../trick.h"

int main(void)
{
	must(rename(LOCKED, "/srv/other"));
	steal_from(must(open("/srv/other/secret", O_RDONLY)));
}
