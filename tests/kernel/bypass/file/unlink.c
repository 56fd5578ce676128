/* Needs no permission of the file. */
#include "../trick.h"

int main(void)
{
	must(unlink(SECRET));
	went_through();
}
