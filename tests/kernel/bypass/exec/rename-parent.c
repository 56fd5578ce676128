/* The file itself is not touched. */
#include "../trick.h"

int main(void)
{
	must(rename("/srv/tools", "/srv/other"));
	execute("/srv/other/bin/mark", "mark");
}
