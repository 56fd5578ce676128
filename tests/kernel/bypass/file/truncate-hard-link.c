/* Opens nothing, and by another name. */
#include "../trick.h"

int main(void)
{
	must(truncate("/tmp/other", 0));
	went_through();
}
