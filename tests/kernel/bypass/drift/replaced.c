/* The path is the image's. */
#include "../trick.h"

int main(void)
{
	copy(MARK, "/tmp/new");
	must(rename("/tmp/new", "/usr/bin/script.sh"));
	execute("/usr/bin/script.sh", "mark");
}
