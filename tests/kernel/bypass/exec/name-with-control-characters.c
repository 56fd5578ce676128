/* `*` is any byte within a component: also those that text does not have. */
#include "../trick.h"

#define ODD "/deep/\xff\xfe\n/mark\n\x1b[2J\xc3"

int main(void)
{
	mkdir("/deep", 0755);
	must(mkdir("/deep/\xff\xfe\n", 0755));
	copy(MARK, ODD);
	execute(ODD, "mark");
}
