/* What counts is what came with the image. */
#include "../trick.h"

int main(void)
{
	execute("/usr/local/mark", "mark");
}
