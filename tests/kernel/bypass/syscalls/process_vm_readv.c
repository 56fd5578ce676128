/* As ptrace does it, without a stop. */
#include "../trick.h"

int main(void)
{
	static char word[8] = "before";
	char copied[8];
	struct iovec near = { copied, 6 }, far = { word, 6 };
	pid_t child = must(fork());

	if (!child)
		pause();
	must(process_vm_readv(child, &near, 1, &far, 1, 0));
	if (strcmp(copied, "before"))
		failed("process_vm_readv read something else");
	kill(child, SIGKILL);
	prove();
	went_through();
}
