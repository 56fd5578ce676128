/* No privilege is needed. */
#include "../trick.h"

int main(void)
{
	uid_t user = getuid();
	gid_t group = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) && errno == EPERM)
		need("user namespaces of ordinary users");
	map_user(user, group, 0);
	must(mount("/tmp/here", "/tmp/there", NULL, MS_BIND, NULL));
	if (access("/tmp/there/file", F_OK))
		failed("the mount is not there");
	prove();
	went_through();
}
