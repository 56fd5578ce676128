/* Writing is allowed by the rule; making it shorter is not. */
#include "../trick.h"

int main(void)
{
	must(ftruncate(must(open(SECRET, O_WRONLY)), 0));
	went_through();
}
