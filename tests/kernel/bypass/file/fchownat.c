/* No path at all. */
#include "../trick.h"

int main(void)
{
	must(fchownat(must(open(SECRET, O_PATH)), "", 1000, 1000, AT_EMPTY_PATH));
	went_through();
}
