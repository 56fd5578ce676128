/* The rule names UDP's port: the packet has it, the socket has not. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_DGRAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(0);
	/* Source and destination port, length, no checksum, one byte. */
	uint16_t datagram[5] = { htons(OPEN_PORT), htons(DENIED_PORT), htons(9) };
	int file = must(socket(AF_INET, SOCK_RAW, IPPROTO_UDP));

	must(sendto(file, datagram, 9, 0, (struct sockaddr *)&target, sizeof(target)));
	end_as(child);
}
