/* No call of that name is made. */
#include "../peer.h"
#include "../ring.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_STREAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	int file = must(socket(AF_INET, SOCK_STREAM, 0));
	struct io_uring_sqe request = {
		.opcode = IORING_OP_CONNECT,
		.fd = file,
		.addr = (uintptr_t)&target,
		.off = sizeof(target),
	};

	must(through_ring(&request));
	end_as(child);
}
