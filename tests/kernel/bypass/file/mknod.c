/* A FIFO, and no open. */
#include "../trick.h"

int main(void)
{
	must(mknod("/srv/locked/new", S_IFIFO | 0644, 0));
	went_through();
}
