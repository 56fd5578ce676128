/* The second rule knows no exception. */
#include "../trick.h"

int main(void)
{
	steal_from(must(open("/srv/locked/open", O_RDONLY)));
}
