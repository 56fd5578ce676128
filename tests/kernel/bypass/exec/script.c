/* Whoever judges only what runs in the end sees a shell. */
#include "../trick.h"

int main(void)
{
	execute("/usr/bin/script.sh", "harmless");
}
