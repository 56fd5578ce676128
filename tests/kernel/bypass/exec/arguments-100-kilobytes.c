/* What is too long to be read must count as matching. */
#include "../trick.h"

int main(void)
{
	static char filler[100000];

	memset(filler, 'x', sizeof(filler) - 1);
	execute(MARK, "mark", "/proof/ran", filler, "--evil");
}
