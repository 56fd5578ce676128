/* The kernel writes. */
#include "../trick.h"
#include <sys/sendfile.h>

int main(void)
{
	must(sendfile(must(open(SECRET, O_WRONLY)), must(open("/etc/passwd", O_RDONLY)), NULL, 64));
	went_through();
}
