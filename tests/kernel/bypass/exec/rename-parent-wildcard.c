/* As rename-parent; the rule does not say what the directory is called. */
#include "../trick.h"

int main(void)
{
	must(rename("/srv/tenant", "/tmp/other"));
	execute("/tmp/other/bin/mark", "mark");
}
