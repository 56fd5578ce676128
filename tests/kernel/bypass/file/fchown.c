/* By a descriptor for reading, which is allowed. */
#include "../trick.h"

int main(void)
{
	must(fchown(must(open(SECRET, O_RDONLY)), 1000, 1000));
	went_through();
}
