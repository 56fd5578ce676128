/* Passes whoever knows containers by their mount namespace. */
#include "../trick.h"

int main(void)
{
	must(unshare(CLONE_NEWNS));
	steal_from(must(open(SECRET, O_RDONLY)));
}
