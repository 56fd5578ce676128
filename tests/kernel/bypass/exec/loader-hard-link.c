/* Whoever knows the loader by its name does not see it start. */
#include "../trick.h"

int main(void)
{
	execute("/tmp/harmless", "cat", "/usr/bin/marked-dynamic");
}
