/* Neither string names the directory. */
#include "../trick.h"

int main(void)
{
	must(openat(must(open(LOCKED, O_PATH | O_DIRECTORY)), "new", O_WRONLY | O_CREAT | O_EXCL, 0644));
	went_through();
}
