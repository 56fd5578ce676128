/* bind-directory without any privilege. */
#include "../trick.h"

int main(void)
{
	uid_t user = getuid();
	gid_t group = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) && errno == EPERM)
		need("user namespaces of ordinary users");
	map_user(user, group, 0);
	must(mkdir("/tmp/other", 0755));
	must(mount("/usr/bin", "/tmp/other", NULL, MS_BIND | MS_REC, NULL));
	execute("/tmp/other/mark", "mark");
}
