/* The new name is the ruled one. */
#include "../trick.h"

int main(void)
{
	must(link("/etc/passwd", "/srv/locked/new"));
	went_through();
}
