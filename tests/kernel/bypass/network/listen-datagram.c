/* It needs no listen. */
#include "../peer.h"

int main(void)
{
	struct sockaddr_in here = ipv4(DENIED_PORT);

	must(bind(must(socket(AF_INET, SOCK_DGRAM, 0)), (struct sockaddr *)&here, sizeof(here)));
	prove();
	went_through();
}
