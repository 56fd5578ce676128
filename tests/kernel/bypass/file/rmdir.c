/* A directory below a locked one. */
#include "../trick.h"

int main(void)
{
	must(rmdir("/srv/locked/empty"));
	went_through();
}
