/* Passes whoever compares the string given to open. */
#include "../trick.h"

int main(void)
{
	must(symlink("../srv/locked/../locked/secret", "/tmp/other"));
	steal_from(must(open("/tmp/other", O_RDONLY)));
}
