/* int 0x80: another number, another table, pointers of four bytes. */
#include "../compat.h"

static char path[] = MARK;
static uint32_t arguments[2], environment[1];

int main(void)
{
	arguments[0] = narrow(path);
	must(compat(11 /* execve */, narrow(path), narrow(arguments), narrow(environment)));
	return FAILED;
}
