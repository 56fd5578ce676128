/* A peer that makes files read-only lets this pass. */
#include "../trick.h"

int main(void)
{
	must(chown(SECRET, 1000, 1000));
	went_through();
}
