/* The unspecified address is in no network of the rule, and the kernel makes the own host of it. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	int file = must(socket(AF_INET, SOCK_STREAM, 0));

	target.sin_addr.s_addr = htonl(INADDR_ANY);
	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
