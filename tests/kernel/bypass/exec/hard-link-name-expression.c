/* A name of its own, that no expression covers. */
#include "../trick.h"

int main(void)
{
	must(link("/usr/bin/mark", "/tmp/innocent"));
	execute("/tmp/innocent", "innocent");
}
