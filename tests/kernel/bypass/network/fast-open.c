/* A connection that begins with its first data: no connect call. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	int file = must(socket(AF_INET, SOCK_STREAM, 0));

	must(sendto(file, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
