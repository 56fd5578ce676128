/* `*` is any byte within a component: also those that text does not have. */
#include "../trick.h"

#define ODD "/opt/\xff\xfe\n/mark\n\x1b[2J\xc3"

int main(void)
{
	mkdir("/opt", 0755);
	must(mkdir("/opt/\xff\xfe\n", 0755));
	copy(MARK, ODD);
	execute(ODD, "mark");
}
