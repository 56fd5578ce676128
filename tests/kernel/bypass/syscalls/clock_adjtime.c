/* ADJ_SETOFFSET by nothing. */
#include "../trick.h"
#include <sys/timex.h>
#include <time.h>

int main(void)
{
	struct timex step = { .modes = ADJ_SETOFFSET };

	must(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &step));
	prove();
	went_through();
}
