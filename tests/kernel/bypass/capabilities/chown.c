/* root keeps its number; what it may do with it is the capability. */
#include "../trick.h"

int main(void)
{
	must(chown(SECRET, 1000, 1000));
	went_through();
}
