/* The content changes; the file was neither opened nor unlinked. */
#include "../trick.h"

int main(void)
{
	write_file("/tmp/new", "other\n");
	must(rename("/tmp/new", SECRET));
	went_through();
}
