// gcc: -static
// speed OPERATION BATCHES TIMES [WORD...]: does the operation TIMES times in each batch and prints for each batch the
// nanoseconds that it took. In a guest that counts instructions one nanosecond is one instruction.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char **words;
static int descriptor, listener;
static struct sockaddr_in peer = { .sin_family = AF_INET };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void prepare_file(void)
{
	descriptor = open(words[0], O_RDWR);
	if (descriptor < 0 && (descriptor = open(words[0], O_RDONLY)) < 0)
		fail(words[0]);
}

/* A container's network is its own, and new. */
static void raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int any = socket(AF_INET, SOCK_DGRAM, 0);
	if (any < 0 || ioctl(any, SIOCSIFFLAGS, &request))
		fail("lo");
	close(any);
}

static void prepare_udp(void)
{
	raise_loopback();
	peer.sin_port = htons(5353);
	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((descriptor = socket(AF_INET, SOCK_DGRAM, 0)) < 0)
		fail("socket");
}

static void prepare_tcp(void)
{
	socklen_t length = sizeof(peer);
	raise_loopback();
	peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&peer, length) || listen(listener, 128) || getsockname(listener, (void *)&peer, &length))
		fail("listen");
}

static void open_close(int i)
{
	int file = open(words[0], O_RDONLY);
	if (file < 0)
		fail(words[0]);
	close(file);
}

static void open_fresh(int i)
{
	char path[256];
	snprintf(path, sizeof(path), "%s%d", words[0], i);
	int file = open(path, O_RDONLY);
	if (file < 0)
		fail(path);
	close(file);
}

static void open_denied(int i)
{
	if (open(words[0], O_RDONLY) >= 0 || errno != EPERM)
		fail(words[0]);
}

static void write_64(int i)
{
	static const char bytes[64];
	if (pwrite(descriptor, bytes, sizeof(bytes), 0) != sizeof(bytes))
		fail("write");
}

static void udp_connect(int i)
{
	if (connect(descriptor, (void *)&peer, sizeof(peer)))
		fail("connect");
}

static void tcp_connect(int i)
{
	struct linger reset = { 1, 0 }; /* or ports run out */
	int here = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(here, (void *)&peer, sizeof(peer)))
		fail("connect");
	int there = accept(listener, NULL, NULL);
	setsockopt(here, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(here);
	close(there);
}

static void execute(int i)
{
	static char *environment[] = { "PATH=/bin", NULL };
	int status;
	pid_t child = vfork();
	if (!child) {
		execve(words[0], words, environment);
		_exit(127);
	}
	if (waitpid(child, &status, 0) != child || status)
		fail(words[0]);
}

static void get_uid(int i)
{
	syscall(SYS_getuid);
}

static void map_executable(int i)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, descriptor, 0);
	if (memory == MAP_FAILED)
		fail("mmap");
	munmap(memory, 4096);
}

static const struct operation {
	const char *name;
	void (*prepare)(void);
	void (*run)(int);
} operations[] = {
	{ "open", NULL, open_close },
	{ "open-fresh", NULL, open_fresh },
	{ "open-denied", NULL, open_denied },
	{ "write", prepare_file, write_64 },
	{ "udp-connect", prepare_udp, udp_connect },
	{ "tcp-connect", prepare_tcp, tcp_connect },
	{ "exec", NULL, execute },
	{ "getuid", NULL, get_uid },
	{ "mmap-exec", prepare_file, map_executable },
};

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ll + time.tv_nsec;
}

int main(int argc, char **argv)
{
	const struct operation *operation = operations;
	while (argc < 4 || strcmp(operation->name, argv[1]))
		if (++operation == operations + sizeof(operations) / sizeof(*operations))
			return 2;
	int batches = atoi(argv[2]), times = atoi(argv[3]);
	words = argv + 4;
	if (operation->prepare)
		operation->prepare();
	for (int batch = 0; batch < batches; batch++) {
		long long began = now();
		for (int i = 0; i < times; i++)
			operation->run(batch * times + i);
		printf("%lld\n", now() - began);
	}
	return 0;
}
