/* One call, two addresses. */
#include "../peer.h"

int main(void)
{
	raise_loopback();
	pid_t child = PEER_V4(SOCK_DGRAM, DENIED_PORT);
	struct sockaddr_in target = ipv4(DENIED_PORT);
	struct sockaddr_in allowed = ipv4(OPEN_PORT);
	struct iovec data = { "x", 1 };
	struct mmsghdr messages[2] = {
		{ .msg_hdr = { .msg_name = &allowed, .msg_namelen = sizeof(allowed), .msg_iov = &data, .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_name = &target, .msg_namelen = sizeof(target), .msg_iov = &data, .msg_iovlen = 1 } },
	};
	int file = must(socket(AF_INET, SOCK_DGRAM, 0));

	/* The call says how many were sent; why the next one was not, only a second call says. */
	if (must(sendmmsg(file, messages, 2, 0)) < 2)
		must(sendmmsg(file, messages + 1, 1, 0));
	end_as(child);
}
