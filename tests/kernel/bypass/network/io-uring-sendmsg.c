/* No call of that name is made. */
#include "../peer.h"
#include "../ring.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_DGRAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	struct iovec data = { "x", 1 };
	struct msghdr message = {
		.msg_name = &target, .msg_namelen = sizeof(target), .msg_iov = &data, .msg_iovlen = 1
	};
	int file = must(socket(AF_INET, SOCK_DGRAM, 0));
	struct io_uring_sqe request = {
		.opcode = IORING_OP_SENDMSG,
		.fd = file,
		.addr = (uintptr_t)&message,
		.len = 1,
	};

	must(through_ring(&request));
	end_as(child);
}
