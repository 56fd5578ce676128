/* To what it is. */
#include "../trick.h"
#include <time.h>

int main(void)
{
	struct timespec now;

	must(clock_gettime(CLOCK_REALTIME, &now));
	must(clock_settime(CLOCK_REALTIME, &now));
	prove();
	went_through();
}
