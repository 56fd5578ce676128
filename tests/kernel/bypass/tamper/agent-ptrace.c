/* Its memory and its descriptors are the tracer's. */
#include "../agent.h"

int main(void)
{
	pid_t target = agent();

	must(ptrace(PTRACE_SEIZE, target, NULL, NULL));
	prove();
	went_through();
}
