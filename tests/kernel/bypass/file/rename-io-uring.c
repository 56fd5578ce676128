/* No call of that name is made. */
#include "../ring.h"

int main(void)
{
	struct io_uring_sqe request = {
		.opcode = IORING_OP_RENAMEAT,
		.fd = AT_FDCWD,
		.len = AT_FDCWD,
		.addr = (uintptr_t)SECRET,
		.addr2 = (uintptr_t)"/tmp/other",
	};

	must(through_ring(&request));
	went_through();
}
