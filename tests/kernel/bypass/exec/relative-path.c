/* Passes whoever compares the string given to execve. */
#include "../trick.h"

int main(void)
{
	must(chdir("/usr/bin"));
	execute(".././/bin/./mark", "mark");
}
