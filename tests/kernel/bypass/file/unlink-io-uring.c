/* No call of that name is made. */
#include "../ring.h"

int main(void)
{
	struct io_uring_sqe request = {
		.opcode = IORING_OP_UNLINKAT,
		.fd = AT_FDCWD,
		.addr = (uintptr_t)SECRET,
	};

	must(through_ring(&request));
	went_through();
}
