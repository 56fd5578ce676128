/* No privilege is needed for this. */
#include "../trick.h"

int main(void)
{
	uid_t user = getuid();
	gid_t group = getgid();
	pid_t child;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) && errno == EPERM)
		need("user namespaces of ordinary users");
	map_user(user, group, 0);
	child = must(fork());
	if (!child)
		steal_from(must(open(SECRET, O_RDONLY)));
	end_as(child);
}
