/* A new name is created, though no file is. */
#include "../trick.h"

int main(void)
{
	must(symlink("/etc/passwd", "/srv/locked/new"));
	went_through();
}
