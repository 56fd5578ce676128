/* [::]:8080 takes what comes for 0.0.0.0:8080. */
#include "../peer.h"

int main(void)
{
	struct sockaddr_in6 here = { .sin6_family = AF_INET6, .sin6_port = htons(DENIED_PORT) };
	int file = must(socket(AF_INET6, SOCK_STREAM, 0));

	must(bind(file, (struct sockaddr *)&here, sizeof(here)));
	must(listen(file, 1));
	prove();
	went_through();
}
