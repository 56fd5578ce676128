/* First to a name that the expression covers too, which is no way out and not refused. */
#include "../trick.h"

int main(void)
{
	if (rename("/tmp/mark", "/tmp/murk"))
		failed("rename within the expression");
	must(rename("/tmp/murk", "/tmp/innocent"));
	execute("/tmp/innocent", "innocent");
}
