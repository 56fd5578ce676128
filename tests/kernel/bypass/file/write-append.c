/* O_APPEND is writing. */
#include "../trick.h"

int main(void)
{
	overwrite(must(open(SECRET, O_WRONLY | O_APPEND)));
}
