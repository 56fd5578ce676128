/* Gone, though nothing was deleted. */
#include "../trick.h"

int main(void)
{
	must(rename(SECRET, "/tmp/other"));
	went_through();
}
