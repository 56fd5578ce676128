/* Every mount call needs it. */
#include "../trick.h"

int main(void)
{
	must(mkdir("/tmp/there", 0755));
	must(mount("/etc", "/tmp/there", NULL, MS_BIND, NULL));
	must(access("/tmp/there/passwd", F_OK));
	prove();
	went_through();
}
