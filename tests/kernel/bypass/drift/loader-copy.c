/* The program is the image's; what starts it is not. */
#include "../trick.h"

int main(void)
{
	copy("/lib64/ld-linux-x86-64.so.2", "/tmp/loader");
	execute("/tmp/loader", "ld.so", "/usr/bin/marked-dynamic");
}
