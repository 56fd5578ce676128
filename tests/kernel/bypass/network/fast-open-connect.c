/* connect only notes the address; the write connects. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	int enable = 1;
	int file = must(socket(AF_INET, SOCK_STREAM, 0));

	must(setsockopt(file, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &enable, sizeof(enable)));
	must(connect(file, (struct sockaddr *)&target, sizeof(target)));
	must(write(file, "x", 1));
	end_as(child);
}
