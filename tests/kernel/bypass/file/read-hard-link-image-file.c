/* The link copies the file up: another inode, on another layer, than the rule was made for. */
#include "../trick.h"

int main(void)
{
	must(link("/etc/secret", "/tmp/other"));
	steal_from(must(open("/tmp/other", O_RDONLY)));
}
