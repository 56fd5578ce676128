/* Bounded loops over the components end at 16 or 20. */
#include "../trick.h"

int main(void)
{
	execute("/deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/mark", "mark");
}
