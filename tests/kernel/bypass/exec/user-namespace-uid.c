/* getuid() says 0 in there; the rule means 1000. */
#include "../trick.h"

int main(void)
{
	uid_t user = getuid();
	gid_t group = getgid();

	if (unshare(CLONE_NEWUSER) && errno == EPERM)
		need("user namespaces of ordinary users");
	map_user(user, group, 0);
	execute(MARK, "mark");
}
