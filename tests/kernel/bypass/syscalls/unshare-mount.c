/* The first step of many tricks here. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWNS));
	prove();
	went_through();
}
