/* What the benchmark does on the host and in containers: one static program, so that nothing but the measured system
 * calls touches files.
 *
 *   probe measure exec:PROGRAM:COUNT open:PATH:COUNT each:PATH:COUNT first:FOLDER:COUNT answer:process:COUNT …
 *       prints one line each: the median cost of one operation, in nanoseconds; opens of the same file together or each by
 *       itself, and of the files 0, 1, 2 … in a folder; a byte to another process and its answer, through pipes
 *   probe denied exec|kill|connect COUNT
 *       prints one line each: nanoseconds since 1970 when the call began; fails if one was not denied
 *   probe until-denied PROGRAM SIGN
 *       makes the file SIGN, then executes the program over and over; prints nanoseconds since 1970 when that was first
 *       refused
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Opens of a file that costs little are timed by so many, for the clock costs as well. */
enum { TOGETHER = 100 };
/* Between denials, so that each is reported by itself: alike ones in a second are summed up above a number. */
static const struct timespec pause_between = { .tv_nsec = 7000000 };

static uint64_t now(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* How a program ended (wait(2)), or -errno of its execve. `began` is the time just before it. */
static int run(char *const argv[], uint64_t *began)
{
	volatile int error = 0;
	volatile uint64_t start = 0;
	pid_t child = vfork();

	if (child == 0) {
		start = now(CLOCK_REALTIME);
		execve(argv[0], argv, (char *[]){ NULL });
		error = errno;
		_exit(1);
	}
	int status;
	if (child < 0 || waitpid(child, &status, 0) != child)
		fail("vfork");
	*began = start;
	return error ? -error : status;
}

static void open_once(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		fail(path);
	close(file);
}

static int by_value(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
	return (a > b) - (a < b);
}

/* What the machine takes to wake another process that answers, and to wake up with the answer. */
static void ask(uint64_t *costs, unsigned long count)
{
	int question[2], answer[2];
	char byte = 0;

	if (pipe(question) || pipe(answer))
		fail("pipe");
	pid_t child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0) {
		close(question[1]);
		while (read(question[0], &byte, 1) == 1 && write(answer[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	for (unsigned long i = 0; i < count; i++) {
		uint64_t start = now(CLOCK_MONOTONIC);
		if (write(question[1], &byte, 1) != 1 || read(answer[0], &byte, 1) != 1)
			fail("answer");
		costs[i] = now(CLOCK_MONOTONIC) - start;
	}
	close(question[1]);
	waitpid(child, NULL, 0);
}

static void measure(const char *kind, const char *path, unsigned long count)
{
	uint64_t *costs = calloc(count, sizeof(*costs)), ignored;
	char file[256];

	if (count == 0 || costs == NULL)
		fail("count");
	if (!strcmp(kind, "answer"))
		ask(costs, count);
	for (unsigned long i = 0; strcmp(kind, "answer") && i < count; i++) {
		uint64_t start;
		if (!strcmp(kind, "exec")) {
			char *argv[] = { (char *)path, NULL };
			start = now(CLOCK_MONOTONIC);
			if (run(argv, &ignored) != 0)
				fail(path);
			costs[i] = now(CLOCK_MONOTONIC) - start;
		} else if (!strcmp(kind, "open")) {
			start = now(CLOCK_MONOTONIC);
			for (int j = 0; j < TOGETHER; j++)
				open_once(path);
			costs[i] = (now(CLOCK_MONOTONIC) - start) / TOGETHER;
		} else if (!strcmp(kind, "each") || !strcmp(kind, "first")) {
			if (!strcmp(kind, "each"))
				snprintf(file, sizeof(file), "%s", path);
			else
				snprintf(file, sizeof(file), "%s/%lu", path, i);
			start = now(CLOCK_MONOTONIC);
			open_once(file);
			costs[i] = now(CLOCK_MONOTONIC) - start;
		} else {
			fail(kind);
		}
	}
	qsort(costs, count, sizeof(*costs), by_value);
	printf("%llu\n", (unsigned long long)costs[count / 2]);
	free(costs);
}

static uint64_t refused_exec(unsigned number)
{
	char path[64];
	uint64_t began;
	snprintf(path, sizeof(path), "/bench/denied/%u", number);
	char *argv[] = { path, NULL };
	if (run(argv, &began) != -EPERM)
		fail("not refused");
	return began;
}

static uint64_t killed_exec(unsigned number)
{
	char argument[64];
	uint64_t began;
	snprintf(argument, sizeof(argument), "denied-%u", number);
	char *argv[] = { "/bench/true", argument, NULL };
	int status = run(argv, &began);
	if (status < 0 || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail("not killed");
	return began;
}

static uint64_t refused_connection(unsigned number)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)(10000 + number)) };
	inet_pton(AF_INET, "192.0.2.1", &address.sin_addr);
	int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t began = now(CLOCK_REALTIME);
	if (connect(connection, (struct sockaddr *)&address, sizeof(address)) == 0 || errno != EPERM)
		fail("not refused");
	close(connection);
	return began;
}

int main(int argc, char **argv)
{
	if (argc > 2 && !strcmp(argv[1], "measure")) {
		for (int i = 2; i < argc; i++) {
			char kind[16], path[128];
			unsigned long count;
			if (sscanf(argv[i], "%15[^:]:%127[^:]:%lu", kind, path, &count) != 3)
				fail(argv[i]);
			measure(kind, path, count);
		}
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "denied")) {
		unsigned count = (unsigned)atoi(argv[3]);
		for (unsigned i = 0; i < count; i++) {
			uint64_t began = !strcmp(argv[2], "exec") ? refused_exec(i)
				       : !strcmp(argv[2], "kill") ? killed_exec(i)
								  : refused_connection(i);
			printf("%llu\n", (unsigned long long)began);
			nanosleep(&pause_between, NULL);
		}
		return 0;
	}
	if (argc == 4 && !strcmp(argv[1], "until-denied")) {
		char *program[] = { argv[2], NULL };
		uint64_t began;
		if (creat(argv[3], 0600) < 0)
			fail(argv[3]);
		while (run(program, &began) != -EPERM)
			;
		printf("%llu\n", (unsigned long long)now(CLOCK_REALTIME));
		return 0;
	}
	fprintf(stderr, "probe: see the head of probe.c\n");
	return 2;
}
