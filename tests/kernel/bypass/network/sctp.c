/* A protocol of its own, with connections. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	struct sockaddr_in target = ipv4(DENIED_PORT);
	pid_t child = peer(SOCK_STREAM, IPPROTO_SCTP, &target, sizeof(target));
	int file = must(socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP));

	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
