/* The rule is about one program's reading: its hard link is the same program. */
#include "../trick.h"

int main(int count, char **arguments)
{
	(void)arguments;
	if (count == 2)
		steal_from(must(open(SECRET, O_RDONLY)));
	must(link("/usr/bin/reader", "/tmp/other"));
	execute("/tmp/other", "other", "go");
}
