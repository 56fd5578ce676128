/* comm and argv[0] are the caller's choice. */
#include "../trick.h"

int main(void)
{
	must(prctl(PR_SET_NAME, "trusted"));
	steal_from(must(open(SECRET, O_RDONLY)));
}
