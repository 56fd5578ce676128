/* Opens nothing. */
#include "../trick.h"

int main(void)
{
	must(truncate(SECRET, 0));
	went_through();
}
