/* To the process's own keyring. */
#include "../trick.h"
#include <linux/keyctl.h>

int main(void)
{
	must(syscall(SYS_add_key, "user", "moat", "x", 1, KEY_SPEC_PROCESS_KEYRING));
	prove();
	went_through();
}
