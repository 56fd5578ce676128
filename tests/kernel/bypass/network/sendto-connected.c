/* The connection was allowed; the address of this datagram is another. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_DGRAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	struct sockaddr_in allowed = ipv4(OPEN_PORT);
	int file = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(connect(file, (struct sockaddr *)&allowed, sizeof(allowed)));
	must(sendto(file, "x", 1, 0, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
