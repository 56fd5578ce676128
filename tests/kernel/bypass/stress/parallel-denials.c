/*
 * What a program keeps per CPU while it may be preempted belongs to two executions at once: a peer let 34 of
 * 3,800 run. Eight waves, each released together by closing a pipe.
 */
#include "../trick.h"

enum { WAVES = 8, WAVE = 475 };

int main(void)
{
	int ran = 0, refusals = 0;

	for (int wave = 0; wave < WAVES; wave++) {
		int gate[2], status;
		char byte;

		must(pipe(gate));
		for (int i = 0; i < WAVE; i++) {
			if (must(fork()))
				continue;
			close(gate[1]);
			must(read(gate[0], &byte, 1));
			execve(MARK, (char *[]){ "mark", NULL }, environ);
			_exit(errno == EPERM || errno == EACCES ? REFUSED : FAILED);
		}
		close(gate[0]);
		close(gate[1]);
		for (int i = 0; i < WAVE; i++) {
			must(wait(&status));
			if (WIFSIGNALED(status) || WEXITSTATUS(status) == REFUSED)
				refusals++;
			else if (WEXITSTATUS(status) == WENT_THROUGH)
				ran++;
		}
	}
	dprintf(2, "%d ran, %d were refused, of %d\n", ran, refusals, WAVES * WAVE);
	if (ran)
		went_through();
	if (refusals != WAVES * WAVE)
		_exit(FAILED);
	errno = EPERM;
	refused("every execve");
}
