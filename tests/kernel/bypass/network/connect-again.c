/* AF_UNSPEC takes the first, allowed connection away. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_DGRAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	struct sockaddr_in allowed = ipv4(OPEN_PORT);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int file = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(connect(file, (struct sockaddr *)&allowed, sizeof(allowed)));
	must(connect(file, &none, sizeof(none)));
	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	must(send(file, "x", 1, 0));
	end_as(child);
}
