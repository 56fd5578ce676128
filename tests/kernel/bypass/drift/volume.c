/* Another file system than the image's. */
#include "../trick.h"

int main(void)
{
	copy(MARK, "/volume/mark");
	execute("/volume/mark", "mark");
}
