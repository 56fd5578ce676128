/* On the second page of the new stack, or the third. */
#include "../trick.h"

int main(void)
{
	static char filler[6000];

	memset(filler, 'x', sizeof(filler) - 1);
	execute(MARK, "mark", "/proof/ran", filler, "--evil");
}
