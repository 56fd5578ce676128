/* write(2) is never called. */
#include "../trick.h"

int main(void)
{
	int file = must(open(SECRET, O_RDWR));
	char *content = (char *)must(mmap(NULL, 6, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));

	memcpy(content, "LOCKED", 6);
	must(msync(content, 6, MS_SYNC));
	went_through();
}
