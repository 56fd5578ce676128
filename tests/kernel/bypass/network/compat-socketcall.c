/* One old call for all that sockets do. */
#include "../compat.h"
#include "../peer.h"

static struct sockaddr_in target;
static uint32_t arguments[3];

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);

	target = ipv4(DENIED_PORT);
	arguments[0] = must(socket(AF_INET, SOCK_STREAM, 0));
	arguments[1] = narrow(&target);
	arguments[2] = sizeof(target);
	must(compat(102 /* socketcall */, 3 /* SYS_CONNECT */, narrow(arguments), 0));
	end_as(child);
}
