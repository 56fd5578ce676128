/* Open to everyone. */
#include "../trick.h"

int main(void)
{
	if (unshare(CLONE_NEWUSER)) {
		if (errno == ENOSPC)
			need("user namespaces of ordinary users");
		judged("unshare", -1);
	}
	prove();
	went_through();
}
