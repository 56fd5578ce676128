/* pidfd_send_signal in place of kill. */
#include "../agent.h"

int main(void)
{
	pid_t target = agent();

	must(syscall(SYS_pidfd_send_signal, must(syscall(SYS_pidfd_open, target, 0)), SIGSTOP, NULL, 0));
	prove_stopped(target);
	went_through();
}
