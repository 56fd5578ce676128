/* What was looked up before the copy is not what is opened after it. */
#include "../trick.h"

int main(void)
{
	must(chmod("/etc/secret", 0604));
	steal_from(must(open("/etc/secret", O_RDONLY)));
}
