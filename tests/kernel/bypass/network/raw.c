/* Any packet can be written through it. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	struct sockaddr_in target = ipv4(0);
	unsigned char echo[8] = { 8, 0, 0xf7, 0xff };
	int file = must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));

	must(sendto(file, echo, sizeof(echo), 0, (struct sockaddr *)&target, sizeof(target)));
	prove();
	went_through();
}
