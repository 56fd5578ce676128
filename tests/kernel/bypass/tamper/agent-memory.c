/* /proc/PID/mem: no stop, no ptrace call. Nothing is written to it here: opening asks for all that it takes. */
#include "../agent.h"

int main(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/mem", agent());
	must(open(path, O_RDWR));
	prove();
	went_through();
}
