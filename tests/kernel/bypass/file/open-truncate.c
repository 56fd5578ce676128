/* The file is empty before anything is written. */
#include "../trick.h"

int main(void)
{
	must(open(SECRET, O_RDONLY | O_TRUNC));
	went_through();
}
