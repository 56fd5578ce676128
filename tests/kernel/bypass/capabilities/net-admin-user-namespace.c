/* It holds every capability there, and used this one. */
#include "../peer.h"

int main(void)
{
	uid_t user = getuid();
	gid_t group = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) && errno == EPERM)
		need("user namespaces of ordinary users");
	map_user(user, group, 0);
	raise_loopback();
	prove();
	went_through();
}
