/* The joined arguments begin with a space then. */
#include "../trick.h"

int main(void)
{
	execute(MARK, "", "/proof/ran");
}
