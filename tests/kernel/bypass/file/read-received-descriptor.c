/* SCM_RIGHTS: this process opens nothing. Another one, started before the rules, passes it the open file. */
#include "../trick.h"

static struct sockaddr_un place = { .sun_family = AF_UNIX, .sun_path = "/tmp/holder" };

static void hold(void)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec byte = { "x", 1 };
	struct msghdr message = {
		.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	int secret = must(open(SECRET, O_RDONLY));
	int listener = must(socket(AF_UNIX, SOCK_STREAM, 0));

	must(bind(listener, (struct sockaddr *)&place, sizeof(place)));
	must(listen(listener, 1));
	/* The setup goes on when the socket is there. */
	if (must(fork()))
		_exit(0);
	must(setsid());
	memcpy(CMSG_DATA(&control.head), &secret, sizeof(secret));
	must(sendmsg(must(accept(listener, NULL, NULL)), &message, 0));
	_exit(0);
}

int main(int count, char **arguments)
{
	char space[CMSG_SPACE(sizeof(int))], byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)
	};
	int connection, secret;

	(void)arguments;
	if (count == 2)
		hold();
	connection = must(socket(AF_UNIX, SOCK_STREAM, 0));
	must(connect(connection, (struct sockaddr *)&place, sizeof(place)));
	must(recvmsg(connection, &message, 0));
	if (!CMSG_FIRSTHDR(&message) || message.msg_flags & MSG_CTRUNC) {
		/* A refusal to receive shows as a message without its descriptor. */
		errno = EPERM;
		refused("receiving the descriptor");
	}
	memcpy(&secret, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(secret));
	steal_from(secret);
}
