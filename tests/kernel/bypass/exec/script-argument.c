/* `sh script.sh`: for the kernel an execution of the shell and of nothing else. */
#include "../trick.h"

int main(void)
{
	must(chdir("/usr/bin"));
	execute("/bin/sh", "sh", "script.sh");
}
