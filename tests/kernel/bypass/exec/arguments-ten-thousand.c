/* A bound on the number of arguments is a way past them. */
#include "../trick.h"

int main(void)
{
	static char *arguments[10004] = { "mark", "/proof/ran" };

	for (int i = 2; i < 10002; i++)
		arguments[i] = "";
	arguments[10002] = "--evil";
	must(execve(MARK, arguments, environ));
	return FAILED;
}
