/* To what it is. */
#include "../trick.h"
#include <sys/time.h>
#include <time.h>

int main(void)
{
	struct timeval now;

	must(gettimeofday(&now, NULL));
	must(settimeofday(&now, NULL));
	prove();
	went_through();
}
