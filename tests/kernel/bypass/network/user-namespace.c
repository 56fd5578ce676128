/* It is root over that network. */
#include "../peer.h"

int main(void)
{
	uid_t user = getuid();
	gid_t group = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) && errno == EPERM)
		need("user namespaces of ordinary users");
	map_user(user, group, 0);
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	int file = must(socket(AF_INET, SOCK_STREAM, 0));

	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
