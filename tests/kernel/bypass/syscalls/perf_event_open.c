/* A software clock: the least that it can count. */
#include "../trick.h"
#include <linux/perf_event.h>

int main(void)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.size = sizeof(event),
	};

	must(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
	prove();
	went_through();
}
