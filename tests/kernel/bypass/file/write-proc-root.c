/* A magic link of another process. */
#include "../trick.h"

int main(void)
{
	overwrite(must(open("/proc/1/root" SECRET, O_WRONLY)));
}
