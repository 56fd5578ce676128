/*
 * The attack "fileless malware": copies a program of the image into anonymous memory and executes it from there, so
 * that no file is ever written. Prints the error that stopped it, if one did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "run-from-memory: %s: %s\n", what, strerror(errno));
	return 126;
}

int main(void)
{
	char *const arguments[] = { "id", NULL };
	char *const environment[] = { NULL };
	struct stat status;
	off_t offset = 0;
	int file = open("/usr/bin/id", O_RDONLY | O_CLOEXEC);
	int memory = memfd_create("payload", MFD_CLOEXEC);

	if (file < 0 || memory < 0 || fstat(file, &status) < 0)
		return fail("prepare");
	while (offset < status.st_size)
		if (sendfile(memory, file, &offset, status.st_size - offset) <= 0)
			return fail("copy");
	fexecve(memory, arguments, environment);
	return fail("execute");
}
