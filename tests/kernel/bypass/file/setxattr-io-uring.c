/* No call of that name is made. */
#include "../ring.h"
#include <sys/xattr.h>

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
	if (getxattr(SECRET, "trusted.moat", NULL, 0) != 1)
		failed("the attribute is not there");
	prove();
	went_through();
}
