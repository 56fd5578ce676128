/* No privilege is needed. */
#include "../trick.h"

int main(void)
{
	uid_t user = getuid();
	gid_t group = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) && errno == EPERM)
		need("user namespaces of ordinary users");
	map_user(user, group, 0);
	must(mkdir("/tmp/here", 0755));
	must(mount("tmpfs", "/tmp/here", "tmpfs", 0, NULL));
	copy(MARK, "/tmp/here/mark");
	execute("/tmp/here/mark", "mark");
}
