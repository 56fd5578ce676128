/* By a descriptor for reading, which is allowed. */
#include "../trick.h"

int main(void)
{
	must(fchmod(must(open(SECRET, O_RDONLY)), 0666));
	went_through();
}
