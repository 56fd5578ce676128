/* Neither TCP nor UDP by its number; Linux 7.1 takes it away. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	struct sockaddr_in target = ipv4(DENIED_PORT);
	pid_t child = peer(SOCK_DGRAM, IPPROTO_UDPLITE, &target, sizeof(target));
	int file = must(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE));

	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	must(send(file, "x", 1, 0));
	end_as(child);
}
