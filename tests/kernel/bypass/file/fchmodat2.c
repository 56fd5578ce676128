/* The newest of them (Linux 6.6), on an O_PATH descriptor. */
#include "../trick.h"

int main(void)
{
	must(syscall(452 /* fchmodat2 */, must(open(SECRET, O_PATH)), "", 0666, AT_EMPTY_PATH));
	went_through();
}
