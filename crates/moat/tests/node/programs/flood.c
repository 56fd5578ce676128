// flood PROCESSES TRIES PROGRAM FILE: each process executes PROGRAM and opens FILE, TRIES times, in turns and as fast
// as it can. Prints how often that was denied with EPERM, how often it failed otherwise, and how often it worked.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int processes = atoi(argv[1]), tries = atoi(argv[2]);
	long *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *arguments[] = {argv[3], "--flood", NULL};

	for (int i = 0; i < processes; i++) {
		if (fork())
			continue;
		for (int j = 0; j < tries; j++) {
			int failed, descriptor = -1;
			if (j % 2)
				failed = execv(argv[3], arguments);
			else
				failed = descriptor = open(argv[4], O_RDONLY);
			__atomic_add_fetch(&counts[failed >= 0 ? 2 : errno == EPERM ? 0 : 1], 1, __ATOMIC_RELAXED);
			if (descriptor >= 0)
				close(descriptor);
		}
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	printf("denied %ld failed %ld worked %ld\n", counts[0], counts[1], counts[2]);
	return 0;
}
