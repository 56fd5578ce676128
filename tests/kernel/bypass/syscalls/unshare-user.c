/* Open to everyone. */
#include "../trick.h"

int main(void)
{
	if (unshare(CLONE_NEWUSER)) {
		if (errno == ENOSPC)
			need("user namespaces of ordinary users");
		must(-1);
	}
	prove();
	went_through();
}
