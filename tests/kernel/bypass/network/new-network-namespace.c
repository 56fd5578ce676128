/* Rules are about the container, not about the namespace it came with. */
#include "../peer.h"

int main(void)
{
	must(unshare(CLONE_NEWNET));
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	int file = must(socket(AF_INET, SOCK_STREAM, 0));

	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
