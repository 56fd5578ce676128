/* bind(2) of a Unix socket makes a name. */
#include "../trick.h"

int main(void)
{
	struct sockaddr_un place = { .sun_family = AF_UNIX, .sun_path = "/srv/locked/new" };

	must(bind(must(socket(AF_UNIX, SOCK_STREAM, 0)), (struct sockaddr *)&place, sizeof(place)));
	went_through();
}
