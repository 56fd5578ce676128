/* execve names the script; the kernel starts the shell. */
#include "../trick.h"

int main(void)
{
	execute("/usr/bin/script.sh", "script.sh");
}
