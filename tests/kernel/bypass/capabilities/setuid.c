/* setresuid. */
#include "../trick.h"

int main(void)
{
	must(setresuid(1000, 1000, 1000));
	if (getuid() != 1000)
		failed("still root");
	prove();
	went_through();
}
