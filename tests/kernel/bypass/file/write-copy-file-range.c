/* The file system copies by itself. */
#include "../trick.h"

int main(void)
{
	must(copy_file_range(must(open("/etc/passwd", O_RDONLY)), NULL, must(open(SECRET, O_WRONLY)), NULL, 64, 0));
	went_through();
}
