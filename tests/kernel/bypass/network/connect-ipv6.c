/* Another hook, another address. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V6(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in6 target = ipv6(DENIED_PORT);
	int file = must(socket(AF_INET6, SOCK_STREAM, 0));

	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
