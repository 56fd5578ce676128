/* Not a byte changed, and yet it lies in the upper layer now. */
#include "../trick.h"

int main(void)
{
	must(chmod(MARK, 0755));
	execute(MARK, "mark");
}
