/* pidfd_getfd: neither opens nor asks the one that has it. */
#include "../trick.h"

int main(int count, char **arguments)
{
	char text[64];
	FILE *note;
	int process, file;

	(void)arguments;
	if (count == 2) {
		file = must(open(SECRET, O_RDONLY));
		process = must(fork());
		if (process) {
			snprintf(text, sizeof(text), "%d %d", process, file);
			write_file("/tmp/holder", text);
			_exit(0);
		}
		must(setsid());
		for (;;)
			pause();
	}
	note = fopen("/tmp/holder", "r");
	if (!note || fscanf(note, "%d %d", &process, &file) != 2)
		failed("the holder's note");
	steal_from(must(syscall(SYS_pidfd_getfd, must(syscall(SYS_pidfd_open, process, 0)), file, 0)));
}
