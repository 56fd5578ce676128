/* tgkill and the siginfo of the caller's choice. */
#include "../agent.h"

int main(void)
{
	siginfo_t info = { .si_signo = SIGSTOP, .si_code = SI_QUEUE };
	pid_t target = agent();

	must(syscall(SYS_rt_tgsigqueueinfo, target, target, SIGSTOP, &info));
	prove_stopped(target);
	went_through();
}
