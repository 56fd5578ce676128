/* Into the namespace it is in already: as privileged as into any other. */
#include "../trick.h"

int main(void)
{
	must(setns(must(open("/proc/self/ns/uts", O_RDONLY)), CLONE_NEWUTS));
	prove();
	went_through();
}
