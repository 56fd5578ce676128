/* prlimit with no open files at all would end its work; here they are set to what they are. */
#include "../agent.h"
#include <sys/resource.h>

int main(void)
{
	struct rlimit limit;
	pid_t target = agent();

	must(prlimit(target, RLIMIT_CORE, NULL, &limit));
	must(prlimit(target, RLIMIT_CORE, &limit, NULL));
	prove();
	went_through();
}
