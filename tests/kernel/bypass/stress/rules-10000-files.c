/* As rules-10000. */
#include "../trick.h"

int main(void)
{
	steal_from(must(open(SECRET, O_RDONLY)));
}
