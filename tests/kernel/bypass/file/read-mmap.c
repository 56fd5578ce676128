/* read(2) is never called. */
#include "../trick.h"

int main(void)
{
	int file = must(open(SECRET, O_RDONLY));
	char *content = (char *)must(mmap(NULL, 6, PROT_READ, MAP_SHARED, file, 0));

	write_file("/proof/stolen", strndup(content, 6));
	went_through();
}
