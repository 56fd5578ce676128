/* O_CREAT. */
#include "../trick.h"

int main(void)
{
	must(open("/srv/locked/new", O_WRONLY | O_CREAT, 0644));
	went_through();
}
