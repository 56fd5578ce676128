/* Another number in another table. */
#include "../compat.h"

static char path[] = SECRET;

int main(void)
{
	steal_from(must(compat(5 /* open */, narrow(path), O_RDONLY, 0)));
}
