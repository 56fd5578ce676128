/* Dots, double slashes, and a directory that is entered and left. */
#include "../trick.h"

int main(void)
{
	must(chdir("/srv"));
	steal_from(must(open("..//srv/./locked/../locked//secret", O_RDONLY)));
}
