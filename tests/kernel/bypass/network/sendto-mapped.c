/* As connect-mapped, without a connect. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_DGRAM, DENIED_PORT);
	struct sockaddr_in6 target = ipv6(DENIED_PORT);
	int file = must(socket(AF_INET6, SOCK_DGRAM, 0));

	must(inet_pton(AF_INET6, "::ffff:127.0.0.1", &target.sin6_addr));
	must(sendto(file, "x", 1, 0, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
