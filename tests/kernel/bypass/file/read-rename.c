/* The path of the rule is free afterwards. */
#include "../trick.h"

int main(void)
{
	must(rename(SECRET, "/tmp/other"));
	steal_from(must(open("/tmp/other", O_RDONLY)));
}
