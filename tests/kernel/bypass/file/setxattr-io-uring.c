/* No call of that name is made. */
#include "../ring.h"

int main(void)
{
	struct io_uring_sqe request = {
		.opcode = IORING_OP_SETXATTR,
		.addr = (uintptr_t)"trusted.moat",
		.addr2 = (uintptr_t)"x",
		.addr3 = (uintptr_t)SECRET,
		.len = 1,
	};

	must(through_ring(&request));
	went_through();
}
