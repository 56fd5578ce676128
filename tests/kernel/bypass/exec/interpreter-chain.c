/* The denied one is neither what execve names nor what runs in the end. */
#include "../trick.h"

int main(void)
{
	execute("/tmp/outer", "outer");
}
