/* SYSLOG_ACTION_READ_ALL. */
#include "../trick.h"
#include <sys/klog.h>

int main(void)
{
	char line[4096];

	must(klogctl(3, line, sizeof(line)));
	prove();
	went_through();
}
