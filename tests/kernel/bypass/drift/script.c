/* Its interpreter is the image's. */
#include "../trick.h"

int main(void)
{
	write_file("/tmp/new", "#!/bin/sh\n> /proof/ran\n");
	must(chmod("/tmp/new", 0755));
	execute("/tmp/new", "new");
}
