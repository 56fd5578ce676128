/* A rename copies the file up. */
#include "../trick.h"

int main(void)
{
	must(rename(MARK, "/usr/bin/other"));
	execute("/usr/bin/other", "mark");
}
