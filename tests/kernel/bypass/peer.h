/* The far end of a connection, inside the container: it leaves the proof when something reaches it. */
#ifndef PEER_H
#define PEER_H

#include "trick.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

enum {
	/* Named by the rules. */
	DENIED_PORT = 8080,
	/* Named by none. */
	OPEN_PORT = 8081,
};

static inline struct sockaddr_in ipv4(unsigned port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static inline struct sockaddr_in6 ipv6(unsigned port)
{
	return (struct sockaddr_in6){
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
	};
}

/* The loopback interface of a new network namespace is down. */
static inline void raise_loopback(void)
{
	struct ifreq interface = { .ifr_name = "lo" };
	int control = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(ioctl(control, SIOCGIFFLAGS, &interface));
	if (!(interface.ifr_flags & IFF_UP)) {
		interface.ifr_flags |= IFF_UP;
		must(ioctl(control, SIOCSIFFLAGS, &interface));
	}
	close(control);
}

/* Listens before it returns; the process is the peer, and dies with the trick. */
static inline pid_t peer(int type, int protocol, const void *address, socklen_t length)
{
	const struct sockaddr *where = address;
	int enable = 1;
	int listener = must(socket(where->sa_family, type, protocol));
	struct pollfd arrival = { .fd = listener, .events = POLLIN };
	char byte;
	pid_t child;

	must(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &enable, sizeof(enable)));
	must(bind(listener, where, length));
	if (type == SOCK_STREAM)
		must(listen(listener, 8));
	child = must(fork());
	if (child) {
		close(listener);
		return child;
	}
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	if (poll(&arrival, 1, 10000) != 1) {
		dprintf(2, "failed: sent, and nothing arrived\n");
		_exit(FAILED);
	}
	must(type == SOCK_STREAM ? accept(listener, NULL, NULL) : recv(listener, &byte, 1, 0));
	prove();
	_exit(WENT_THROUGH);
}

#define PEER_V4(type, port)                                                    \
	({                                                                     \
		struct sockaddr_in address = ipv4(port);                       \
		peer(type, 0, &address, sizeof(address));                      \
	})
#define PEER_V6(type, port)                                                    \
	({                                                                     \
		struct sockaddr_in6 address = ipv6(port);                      \
		peer(type, 0, &address, sizeof(address));                      \
	})

#endif
