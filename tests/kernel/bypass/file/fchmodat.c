/* A relative path. */
#include "../trick.h"

int main(void)
{
	must(fchmodat(must(open(LOCKED, O_PATH)), "secret", 0666, 0));
	went_through();
}
