/* With its descriptor it can be put into other places, and replaced there. */
#include "../moat_objects.h"

int main(void)
{
	moat_program();
	prove();
	went_through();
}
