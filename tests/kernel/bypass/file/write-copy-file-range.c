/* The file system copies by itself. */
#include "../trick.h"

int main(void)
{
	write_file("/tmp/new", "COPIED\n");
	must(copy_file_range(must(open("/tmp/new", O_RDONLY)), NULL, must(open(SECRET, O_WRONLY)), NULL, 7, 0));
	went_through();
}
