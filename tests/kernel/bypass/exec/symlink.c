/* The string given to execve is another, the file is the same. */
#include "../trick.h"

int main(void)
{
	must(symlink("../usr/bin/../bin/mark", "/tmp/other"));
	execute("/tmp/other", "other");
}
