/* The kernel chooses the port, and bind did not name one. */
#include "../peer.h"

int main(void)
{
	struct sockaddr_in here = ipv4(0);
	int file = must(socket(AF_INET, SOCK_STREAM, 0));

	must(bind(file, (struct sockaddr *)&here, sizeof(here)));
	must(listen(file, 1));
	prove();
	went_through();
}
