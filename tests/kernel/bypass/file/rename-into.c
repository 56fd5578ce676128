/* The new name is the ruled one. */
#include "../trick.h"

int main(void)
{
	write_file("/tmp/new", "other\n");
	must(rename("/tmp/new", "/srv/locked/new"));
	went_through();
}
