/* It takes the first one's place and number in the middle of the call. */
#include "../trick.h"
#include <pthread.h>

static void *launch(void *unused)
{
	(void)unused;
	execute(MARK, "mark");
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, launch, NULL))
		failed("pthread_create");
	pthread_join(thread, NULL);
	return FAILED;
}
