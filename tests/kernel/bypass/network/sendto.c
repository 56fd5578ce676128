/* No connection, so no connect to judge. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_DGRAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	int file = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(sendto(file, "x", 1, 0, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
