/* As rules-400, beyond most tables. */
#include "../trick.h"

int main(void)
{
	execute(MARK, "mark");
}
