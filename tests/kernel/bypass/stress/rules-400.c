/* A peer lost 157 of 400 rules and said nothing. */
#include "../trick.h"

int main(void)
{
	execute(MARK, "mark");
}
