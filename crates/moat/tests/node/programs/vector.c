// vector BYTES PROGRAM LAST end: executes PROGRAM with arguments of BYTES bytes and, as the last one, LAST, which is not
// the last of its own. Exits with 126 if that is denied, with 125 if it fails otherwise.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// What the kernel takes as one argument at most, its end included (MAX_ARG_STRLEN, execve(2)).
#define LONGEST (32 * 4096)

int main(int argc, char **argv)
{
	long left = atol(argv[1]), count = 0;
	char **arguments = calloc(left / LONGEST + 4, sizeof(char *));

	arguments[count++] = argv[2];
	for (; left > 0; left -= LONGEST) {
		long length = left < LONGEST ? left : LONGEST;
		char *filler = malloc(length);
		memset(filler, 'x', length);
		filler[length - 1] = 0;
		arguments[count++] = filler;
	}
	arguments[count++] = argv[3];
	execv(argv[2], arguments);
	return errno == EPERM ? 126 : 125;
}
