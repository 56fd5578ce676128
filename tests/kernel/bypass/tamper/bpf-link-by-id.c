/* BPF_LINK_DETACH is one call away. The trick stops here: without rules it succeeds, and must leave Moat as it was. */
#include "../moat_objects.h"

int main(void)
{
	moat_link();
	prove();
	went_through();
}
