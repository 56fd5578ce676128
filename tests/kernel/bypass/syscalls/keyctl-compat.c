/* Number 288 there. */
#include "../compat.h"
#include <linux/keyctl.h>

int main(void)
{
	must(compat(288 /* keyctl */, KEYCTL_JOIN_SESSION_KEYRING, 0, 0));
	prove();
	went_through();
}
