/* The first half of every trick with hard links. */
#include "../trick.h"

int main(void)
{
	must(link(SECRET, "/tmp/other"));
	went_through();
}
