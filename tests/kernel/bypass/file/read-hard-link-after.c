/* Whether the link or the open is refused: nothing may be read. */
#include "../trick.h"

int main(void)
{
	must(link(SECRET, "/tmp/other"));
	steal_from(must(open("/tmp/other", O_RDONLY)));
}
