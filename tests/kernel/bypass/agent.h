/* The agent, where the container sees it: its number, and whether a signal stopped it. */
#ifndef AGENT_H
#define AGENT_H

#include "trick.h"
#include <time.h>

static inline pid_t agent(void)
{
	const char *number = getenv("MOAT_AGENT_PID");

	if (!number)
		need("MOAT_AGENT_PID");
	return atoi(number);
}

/* Whether it comes to a stop within two seconds; the kernel sends no event of that to strangers. */
static inline int stopped(pid_t target)
{
	struct timespec moment = { .tv_nsec = 10000000 };
	char path[64], state;

	snprintf(path, sizeof(path), "/proc/%d/stat", target);
	for (int i = 0; i < 200; i++) {
		FILE *file = fopen(path, "r");

		/* The name may hold anything but ends with the last bracket. */
		if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
			failed("the agent's state");
		fclose(file);
		if (state == 'T')
			return 1;
		nanosleep(&moment, NULL);
	}
	return 0;
}

static inline void prove_stopped(pid_t target)
{
	int halted = stopped(target);

	must(kill(target, SIGCONT));
	if (!halted)
		failed("the agent did not stop");
	prove();
}

#endif
