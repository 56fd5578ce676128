/* In a namespace of its own. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWUTS));
	must(sethostname("moat", 4));
	prove();
	went_through();
}
