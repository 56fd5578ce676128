/* Owned by another user, mode 0. */
#include "../trick.h"

int main(void)
{
	steal(must(open(SECRET, O_RDONLY)));
	went_through();
}
