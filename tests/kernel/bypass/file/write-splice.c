/* From a pipe into the page cache. */
#include "../trick.h"

int main(void)
{
	int ends[2];

	must(pipe(ends));
	must(write(ends[1], "SPLICED", 7));
	must(splice(ends[0], NULL, must(open(SECRET, O_WRONLY)), NULL, 7, 0));
	went_through();
}
