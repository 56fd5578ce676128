// gcc: -static
// act ROLE: does what the differential test tells it to, one line after the other, and tells how each went.
//
// A line is words with a tab between them: an act and its operands. Each is done by a child of its own, which the rules
// may refuse or kill. The answer is a line with its errno, 0 where it succeeded, or the negative number of the signal
// that killed it. Lines come and go by named pipes, open before any rule is in force.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define RUN "/world/run/"
#define ACTORS 4
#define WORDS 64
#define is(word, text) (!strcmp(word, text))

static void or_die(int result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

static int opened(const char *path, int flags)
{
	int file = open(path, flags | O_CLOEXEC, 0666);
	return file < 0 ? errno : (close(file), 0);
}

static int outcome(long result)
{
	return result < 0 ? errno : 0;
}

/* connect TCP|UDP ADDRESS PORT, or send ADDRESS PORT: what no listener answers has been done all the same. */
static int reach(const char *protocol, const char *address, int port, int connects)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET;
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	inet_pton(family, address, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr);
	struct sockaddr *to = family == AF_INET ? (void *)&v4 : (void *)&v6;
	socklen_t length = family == AF_INET ? sizeof(v4) : sizeof(v6);
	int from = socket(family, (is(protocol, "TCP") ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (from < 0)
		return errno;
	int error = outcome(connects ? connect(from, to, length) : sendto(from, "x", 1, 0, to, length));
	switch (error) {
	case EINPROGRESS: case ECONNREFUSED: case ENETUNREACH: case EHOSTUNREACH: case EADDRNOTAVAIL:
		return 0;
	default:
		return error;
	}
}

static int listen_on(const char *protocol, const char *address, int port)
{
	int family = strchr(address, ':') ? AF_INET6 : AF_INET, one = 1;
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	inet_pton(family, address, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr);
	int at = socket(family, (is(protocol, "TCP") ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	setsockopt(at, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	int error = outcome(bind(at, family == AF_INET ? (void *)&v4 : (void *)&v6, family == AF_INET ? sizeof(v4) : sizeof(v6)));
	/* A node without IPv6 has no such address; the rules were asked before. */
	return error == EADDRNOTAVAIL ? 0 : error;
}

/* Each as harmless as the call can be. */
static int call(const char *name)
{
	if (is(name, "ptrace"))
		return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	if (is(name, "syslog"))
		return outcome(klogctl(10, NULL, 0)); /* the buffer's size */
	if (is(name, "unshare"))
		return outcome(unshare(CLONE_NEWUTS));
	if (is(name, "mount"))
		return outcome(mount("none", "/world/mnt", "tmpfs", 0, NULL));
	if (is(name, "bpf")) {
		char attributes[128] = { [0] = 2, [4] = 4, [8] = 4, [12] = 1 }; /* an array of one */
		int map = syscall(SYS_bpf, 0, attributes, sizeof(attributes));
		return outcome(map);
	}
	return ENOSYS;
}

static int use_capability(const char *name)
{
	if (is(name, "SYS_CHROOT"))
		return outcome(chroot("/"));
	if (is(name, "NET_RAW"))
		return outcome(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	if (is(name, "SYS_NICE")) {
		/* Without the capability this call says EACCES. */
		int error = outcome(setpriority(PRIO_PROCESS, 0, -1));
		return error == EACCES ? EPERM : error;
	}
	if (is(name, "SETGID"))
		return outcome(setgroups(0, NULL));
	return ENOSYS;
}

static int act(char **words, int count)
{
	char *verb = words[0], *first = words[1], *second = words[2];
	if (is(verb, "execute") && count > 1) {
		execv(first, words + 2);
		return errno;
	}
	if (is(verb, "read"))
		return opened(first, O_RDONLY);
	if (is(verb, "write"))
		return opened(first, O_WRONLY);
	if (is(verb, "update"))
		return opened(first, O_RDWR);
	if (is(verb, "empty"))
		return opened(first, O_WRONLY | O_TRUNC);
	if (is(verb, "create"))
		return opened(first, O_WRONLY | O_CREAT | O_EXCL);
	if (is(verb, "mkdir"))
		return outcome(mkdir(first, 0777));
	if (is(verb, "symlink"))
		return outcome(symlink("nowhere", first));
	if (is(verb, "mknod"))
		return outcome(mknod(first, S_IFIFO | 0666, 0));
	if (is(verb, "unlink"))
		return outcome(unlink(first));
	if (is(verb, "rename"))
		return outcome(rename(first, second));
	if (is(verb, "link"))
		return outcome(link(first, second));
	if (is(verb, "chmod"))
		return outcome(chmod(first, 0666));
	if (is(verb, "chown"))
		return outcome(chown(first, 0, 0));
	if (is(verb, "truncate"))
		return outcome(truncate(first, 1));
	if (is(verb, "setxattr"))
		return outcome(setxattr(first, "trusted.moat", "x", 1, 0));
	if (is(verb, "connect"))
		return reach(first, second, atoi(words[3]), 1);
	if (is(verb, "send"))
		return reach(first, second, atoi(words[3]), 0);
	if (is(verb, "listen"))
		return listen_on(first, second, atoi(words[3]));
	if (is(verb, "call"))
		return call(first);
	if (is(verb, "use"))
		return use_capability(first);
	return ENOSYS;
}

static int done(char **words, int count)
{
	int status;
	pid_t child = fork();
	or_die(child, "fork");
	if (!child)
		_exit(act(words, count));
	or_die(waitpid(child, &status, 0), "waitpid");
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static FILE *pipe_of(int actor, const char *end, const char *mode)
{
	char path[64];
	snprintf(path, sizeof(path), RUN "%d.%s", actor, end);
	FILE *pipe = fopen(path, mode);
	or_die(pipe ? 0 : -1, path);
	return pipe;
}

static void serve(int actor, int user)
{
	static char line[65536];
	FILE *in = pipe_of(actor, "in", "re"), *out = pipe_of(actor, "out", "we");
	if (user) {
		or_die(setgroups(0, NULL), "setgroups");
		or_die(setgid(user), "setgid");
		or_die(setuid(user), "setuid");
	}
	while (fgets(line, sizeof(line), in)) {
		char *words[WORDS + 1] = {}, *rest = line, *word;
		int count = 0;
		line[strcspn(line, "\n")] = 0;
		while (count < WORDS && (word = strsep(&rest, "\t")))
			words[count++] = word;
		fprintf(out, "%d\n", done(words, count));
		fflush(out);
	}
	exit(0);
}

/* Starts another actor below this one. */
static void spawn(const char *program, const char *actor, const char *user)
{
	pid_t child = fork();
	or_die(child, "fork");
	if (child)
		return;
	execl(program, program, "serve", actor, user, NULL);
	or_die(-1, program);
}

static void copy(const char *from, const char *to)
{
	static char bytes[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0777);
	or_die(in, from);
	or_die(out, to);
	for (ssize_t length; (length = read(in, bytes, sizeof(bytes))) > 0;)
		or_die(write(out, bytes, length), to);
	close(in);
	close(out);
}

int main(int argc, char **argv)
{
	const char *role = argc > 1 ? argv[1] : "";
	umask(0);
	/* Its children's ends tell nothing but to whoever waits for them. */
	if (is(role, "serve") && argc > 3) {
		serve(atoi(argv[2]), atoi(argv[3]));
	} else if (is(role, "entrypoint")) {
		/* What did not come with the image. */
		copy("/world/bin/alpha", "/world/added/alpha");
		copy("/world/bin/alpha", "/world/added/sh");
		for (int i = 0; i < ACTORS; i++) {
			char path[64];
			snprintf(path, sizeof(path), RUN "%d.in", i);
			or_die(mkfifo(path, 0666), path);
			snprintf(path, sizeof(path), RUN "%d.out", i);
			or_die(mkfifo(path, 0666), path);
		}
		or_die(mkdir(RUN "ready", 0777), "ready");
		spawn("/world/sbin/nginx", "1", "33");
		serve(0, 0);
	} else if (is(role, "session")) {
		spawn("/world/tools/agent", "3", "1000");
		serve(2, 0);
	}
	return 1;
}
