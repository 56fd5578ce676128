/* The socket's protocol is 262; its subflows are TCP. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	struct sockaddr_in target = ipv4(DENIED_PORT);
	pid_t child = peer(SOCK_STREAM, 262 /* IPPROTO_MPTCP */, &target, sizeof(target));
	int file = must(socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */));

	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
