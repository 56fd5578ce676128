/* Paths of cgroups are relative from here on. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWCGROUP));
	execute(MARK, "mark");
}
