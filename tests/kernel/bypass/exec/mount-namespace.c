/* Passes whoever knows containers by their mount namespace. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWNS));
	execute(MARK, "mark");
}
