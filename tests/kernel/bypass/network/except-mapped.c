/* 127.0.0.53 is excepted; 127.0.0.1 written as IPv6 is not. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in6 target = ipv6(DENIED_PORT);
	int file = must(socket(AF_INET6, SOCK_STREAM, 0));

	must(inet_pton(AF_INET6, "::ffff:127.0.0.1", &target.sin6_addr));
	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
