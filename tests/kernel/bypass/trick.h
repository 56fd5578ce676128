/*
 * What all tricks share: how a trick ends, and how it leaves a mark.
 *
 * Every trick is a C program with a `main` of its own that includes this file. The
 * contract with the runner is in README.md.
 */
#ifndef TRICK_H
#define TRICK_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	WENT_THROUGH = 0,
	REFUSED = 1,
	FAILED = 2,
	NOT_HERE = 77,
};

/* The files that the rules of most tricks are about; their `setup` makes the locked ones. */
#define MARK "/usr/bin/mark"
#define SECRET "/srv/locked/secret"
#define LOCKED "/srv/locked"

/* The act had its effect. */
static inline _Noreturn void went_through(void)
{
	_exit(WENT_THROUGH);
}

/* `call` failed with EPERM or EACCES: what a rule must bring about. */
static inline _Noreturn void refused(const char *call)
{
	dprintf(2, "refused: %s: %s\n", call, strerrorname_np(errno));
	_exit(REFUSED);
}

/* What the trick needs is not in this kernel or its configuration. */
static inline _Noreturn void need(const char *what)
{
	dprintf(2, "not here: %s\n", what);
	_exit(NOT_HERE);
}

/* Neither: the trick itself is broken. */
static inline _Noreturn void failed(const char *call)
{
	dprintf(2, "failed: %s: %s\n", call, strerrorname_np(errno));
	_exit(FAILED);
}

static inline long judged(const char *call, long result)
{
	if (result != -1)
		return result;
	switch (errno) {
	case EPERM:
	case EACCES:
		refused(call);
	case ENOSYS:
	case EOPNOTSUPP:
	case EAFNOSUPPORT:
	case EPROTONOSUPPORT:
		need(call);
	default:
		failed(call);
	}
}

/* The result of a system call, or the end of the trick in the way that its errno says. */
#define must(call) judged(#call, (long)(call))

/* Becomes `path` with the arguments that follow; does not return. */
#define execute(path, ...)                                                     \
	do {                                                                   \
		char *arguments[] = { __VA_ARGS__, NULL };                     \
		must(execve(path, arguments, environ));                        \
		__builtin_unreachable();                                       \
	} while (0)

/* Ends as `child` does. */
static inline _Noreturn void end_as(pid_t child)
{
	int status;

	must(waitpid(child, &status, __WALL));
	if (WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	if (WTERMSIG(status) == SIGKILL) {
		dprintf(2, "refused: a child was killed\n");
		_exit(REFUSED);
	}
	dprintf(2, "failed: a child died of signal %d\n", WTERMSIG(status));
	_exit(FAILED);
}

/* Leaves the mark that the program `mark` leaves, for acts that execute nothing. */
static inline void prove(void)
{
	close(must(open("/proof/ran", O_WRONLY | O_CREAT, 0644)));
}

/* Reads what `file` gives and leaves it where the runner looks. */
static inline void steal(int file)
{
	char loot[4096];
	long length = must(read(file, loot, sizeof(loot)));
	int proof;

	if (length == 0) {
		errno = ENODATA;
		failed("the file was empty");
	}
	proof = must(open("/proof/stolen", O_WRONLY | O_CREAT | O_TRUNC, 0644));
	must(write(proof, loot, length));
	close(proof);
}

/* The whole of a trick that ends with the file open for reading. */
static inline _Noreturn void steal_from(int file)
{
	steal(file);
	went_through();
}

/* The whole of a trick that ends with the file open for writing. */
static inline _Noreturn void overwrite(int file)
{
	must(write(file, "OVERWRITTEN\n", 12));
	went_through();
}

static inline void write_file(const char *path, const char *text)
{
	int file = must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644));

	must(write(file, text, strlen(text)));
	close(file);
}

/* Copies bytes, as a program with no wish to be noticed would; the copy may be executed. */
static inline void copy(const char *from, const char *to)
{
	char buffer[65536];
	int source = must(open(from, O_RDONLY | O_CLOEXEC));
	int target = must(open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
	long length;

	while ((length = must(read(source, buffer, sizeof(buffer)))) > 0)
		must(write(target, buffer, length));
	close(source);
	close(target);
}

/* Makes uid and gid `inside` of a new user namespace of the caller's own. */
static inline void map_user(uid_t outside_uid, gid_t outside_gid, unsigned inside)
{
	char line[64];

	snprintf(line, sizeof(line), "%u %u 1", inside, outside_uid);
	write_file("/proc/self/uid_map", line);
	write_file("/proc/self/setgroups", "deny");
	snprintf(line, sizeof(line), "%u %u 1", inside, outside_gid);
	write_file("/proc/self/gid_map", line);
}

/* Mounts made from here on stay in this namespace. */
static inline void private_mounts(void)
{
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

#ifdef TRICKS_IN_ONE
/* One program holds all tricks: each file's `main` is one entry of its table (tricks.c). */
struct trick {
	const char *source;
	int (*run)();
};

static int trick_main();

__attribute__((section("tricks"), used)) static const struct trick trick = { __BASE_FILE__, trick_main };

#define main trick_main
#endif

#endif
