/* argv[0] is the caller's choice: it may widen a denial, never an exception. */
#include "../trick.h"

int main(void)
{
	must(prctl(PR_SET_NAME, "sh"));
	execute(MARK, "/bin/sh", "/proof/ran");
}
