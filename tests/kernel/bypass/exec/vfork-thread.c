/* The new process shares the memory of a thread that is not the first of its process. */
#include "../trick.h"
#include <pthread.h>

static void *launch(void *unused)
{
	static char *arguments[] = { "mark", NULL };
	volatile int error = 0;
	int status;
	pid_t child = vfork();

	(void)unused;
	if (child == 0) {
		execve(MARK, arguments, environ);
		error = errno;
		_exit(FAILED);
	}
	must(child);
	must(waitpid(child, &status, 0));
	errno = error;
	if (error)
		judged("execve", -1);
	if (WIFSIGNALED(status)) {
		errno = EPERM;
		refused("the child was killed");
	}
	_exit(WEXITSTATUS(status));
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, launch, NULL))
		failed("pthread_create");
	pthread_join(thread, NULL);
	return FAILED;
}
