/* One request through io_uring, without a library: the kernel performs it, not a system call of its own. */
#ifndef RING_H
#define RING_H

#include "trick.h"
#include <linux/io_uring.h>

/* The result of the request; -1 and errno where it failed. */
static inline long through_ring(const struct io_uring_sqe *request)
{
	struct io_uring_params parameters = { 0 };
	struct io_uring_sqe *requests;
	struct io_uring_cqe *answer;
	char *submission, *completion;
	unsigned *tail, index;
	int ring = syscall(SYS_io_uring_setup, 1, &parameters);

	if (ring < 0 && (errno == EPERM || errno == ENOSYS))
		need("io_uring is disabled here");
	must(ring);
	submission = (char *)must(mmap(NULL, parameters.sq_off.array + parameters.sq_entries * 4,
				       PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING));
	completion = (char *)must(mmap(NULL, parameters.cq_off.cqes + parameters.cq_entries * sizeof(*answer),
				       PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING));
	requests = (void *)must(mmap(NULL, parameters.sq_entries * sizeof(*requests), PROT_READ | PROT_WRITE,
				     MAP_SHARED, ring, IORING_OFF_SQES));
	tail = (unsigned *)(submission + parameters.sq_off.tail);
	index = *tail & *(unsigned *)(submission + parameters.sq_off.ring_mask);
	requests[index] = *request;
	((unsigned *)(submission + parameters.sq_off.array))[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	answer = (struct io_uring_cqe *)(completion + parameters.cq_off.cqes);
	if (answer->res == -EINVAL)
		need("this kernel's io_uring does not know the request");
	if (answer->res >= 0)
		return answer->res;
	errno = -answer->res;
	return -1;
}

#endif
