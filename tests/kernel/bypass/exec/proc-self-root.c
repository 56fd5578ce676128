/* A magic link back to the root, as often as one likes. */
#include "../trick.h"

int main(void)
{
	execute("/proc/self/root/proc/1/root/usr/bin/mark", "mark");
}
