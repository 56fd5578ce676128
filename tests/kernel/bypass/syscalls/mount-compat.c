/* Number 21 there is mount; here it is access. */
#include "../compat.h"

static char here[] = "/tmp/here", there[] = "/tmp/there";

int main(void)
{
	must(compat5(21 /* mount */, narrow(here), narrow(there), 0, MS_BIND, 0));
	if (access("/tmp/there/file", F_OK))
		failed("the mount is not there");
	prove();
	went_through();
}
