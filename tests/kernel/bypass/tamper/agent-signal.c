/* SIGSTOP, and SIGCONT after it: without rules this succeeds, and must leave the agent as it was. */
#include "../agent.h"

int main(void)
{
	pid_t target = agent();

	must(kill(target, SIGSTOP));
	prove_stopped(target);
	went_through();
}
