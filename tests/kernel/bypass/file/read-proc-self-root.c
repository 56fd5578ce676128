/* A magic link back to the root. */
#include "../trick.h"

int main(void)
{
	steal_from(must(open("/proc/self/root" SECRET, O_RDONLY)));
}
