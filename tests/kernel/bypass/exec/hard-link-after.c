/* As hard-link-before, but the name is new to the kernel's programs as well. */
#include "../trick.h"

int main(void)
{
	must(link(MARK, "/tmp/other"));
	execute("/tmp/other", "other");
}
