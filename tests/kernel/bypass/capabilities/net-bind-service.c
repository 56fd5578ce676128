/* Port 80. */
#include "../peer.h"

int main(void)
{
	struct sockaddr_in here = ipv4(80);

	must(bind(must(socket(AF_INET, SOCK_STREAM, 0)), (struct sockaddr *)&here, sizeof(here)));
	prove();
	went_through();
}
