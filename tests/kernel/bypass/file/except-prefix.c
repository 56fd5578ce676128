/* /srv/locked/open and nothing longer. */
#include "../trick.h"

int main(void)
{
	steal_from(must(open("/srv/locked/open-not", O_RDONLY)));
}
