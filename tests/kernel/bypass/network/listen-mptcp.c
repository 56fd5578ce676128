/* The socket's protocol is 262. */
#include "../peer.h"

int main(void)
{
	struct sockaddr_in here = ipv4(DENIED_PORT);
	int file = must(socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */));

	must(bind(file, (struct sockaddr *)&here, sizeof(here)));
	must(listen(file, 1));
	prove();
	went_through();
}
