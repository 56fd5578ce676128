/* As ptrace does it, without a stop. */
#include "../trick.h"

int main(void)
{
	static char word[8] = "before";
	struct iovec near = { "AFTER", 6 }, far = { word, 6 };
	pid_t child = must(fork());

	if (!child)
		pause();
	if (must(process_vm_writev(child, &near, 1, &far, 1, 0)) != 6)
		failed("process_vm_writev wrote less");
	kill(child, SIGKILL);
	prove();
	went_through();
}
