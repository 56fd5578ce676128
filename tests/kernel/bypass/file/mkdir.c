/* A directory is a new name too. */
#include "../trick.h"

int main(void)
{
	must(mkdir("/srv/locked/new", 0755));
	went_through();
}
