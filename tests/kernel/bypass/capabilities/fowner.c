/* Only its owner may. */
#include "../trick.h"

int main(void)
{
	must(chmod(SECRET, 0666));
	went_through();
}
