/* A path rule cannot mean a copy of the bytes: this is what the drift rule is for. */
#include "../trick.h"

int main(void)
{
	copy(MARK, "/tmp/copy");
	execute("/tmp/copy", "mark");
}
