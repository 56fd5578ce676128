/* For the kernel only the loader is executed; the program is a file that it maps. */
#include "../trick.h"

int main(void)
{
	execute("/lib64/ld-linux-x86-64.so.2", "ld.so", "/usr/bin/marked-dynamic");
}
