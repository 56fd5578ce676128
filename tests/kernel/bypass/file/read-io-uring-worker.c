/* IOSQE_ASYNC: a kernel thread of the process opens the file. */
#include "../ring.h"

int main(void)
{
	struct io_uring_sqe request = {
		.opcode = IORING_OP_OPENAT,
		.flags = IOSQE_ASYNC,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)SECRET,
		.open_flags = O_RDONLY,
	};

	steal_from(must(through_ring(&request)));
}
