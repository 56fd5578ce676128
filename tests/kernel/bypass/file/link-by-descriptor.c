/* linkat with AT_EMPTY_PATH: the old name is not said. */
#include "../trick.h"

int main(void)
{
	must(linkat(must(open(SECRET, O_PATH)), "", AT_FDCWD, "/tmp/other", AT_EMPTY_PATH));
	went_through();
}
