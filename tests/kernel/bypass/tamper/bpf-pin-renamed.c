/* The next agent does not find it. Renamed back at once: without rules this succeeds, and must leave Moat as it was. */
#include "../moat_objects.h"

int main(void)
{
	char path[PATH_MAX], other[PATH_MAX + 8];

	moat_pin(path);
	snprintf(other, sizeof(other), "%s-other", path);
	must(rename(path, other));
	prove();
	must(rename(other, path));
	went_through();
}
