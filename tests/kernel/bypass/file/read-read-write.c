/* A rule about reading must see O_RDWR as well. */
#include "../trick.h"

int main(void)
{
	steal_from(must(open(SECRET, O_RDWR)));
}
