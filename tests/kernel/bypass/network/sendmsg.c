/* The address is in the message. */
#include "../peer.h"

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

	must(sendmsg(file, &message, 0));
	end_as(child);
}
