/* The kernel takes AF_UNSPEC and 0.0.0.0 for AF_INET in bind. */
#include "../peer.h"

int main(void)
{
	struct sockaddr_in here = { .sin_family = AF_UNSPEC, .sin_port = htons(DENIED_PORT) };
	int file = must(socket(AF_INET, SOCK_STREAM, 0));

	must(bind(file, (struct sockaddr *)&here, sizeof(here)));
	must(listen(file, 1));
	prove();
	went_through();
}
