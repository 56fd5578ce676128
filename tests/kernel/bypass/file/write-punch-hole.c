/* Bytes become zeros, and nothing was written. */
#include "../trick.h"

int main(void)
{
	must(fallocate(must(open(SECRET, O_WRONLY)), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4));
	went_through();
}
