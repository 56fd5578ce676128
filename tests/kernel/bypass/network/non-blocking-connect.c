/* EINPROGRESS is not a refusal: what counts is whether it arrives. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	int file = must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	if (connect(file, (struct sockaddr *)&target, sizeof(target)) && errno != EINPROGRESS)
		judged("connect", -1);
	end_as(child);
}
