/* /proc/PID/fd/N of a process that opened the file before the rules. */
#include "../trick.h"

int main(int count, char **arguments)
{
	char path[64];
	FILE *note;
	int process, file;

	(void)arguments;
	if (count == 2) {
		file = must(open(SECRET, O_RDONLY));
		process = must(fork());
		if (process) {
			snprintf(path, sizeof(path), "%d %d", process, file);
			write_file("/tmp/holder", path);
			_exit(0);
		}
		must(setsid());
		for (;;)
			pause();
	}
	note = fopen("/tmp/holder", "r");
	if (!note || fscanf(note, "%d %d", &process, &file) != 2)
		failed("the holder's note");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", process, file);
	steal_from(must(open(path, O_RDONLY)));
}
