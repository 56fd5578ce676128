/* Keyrings are not of a namespace of their own. */
#include "../trick.h"
#include <linux/keyctl.h>

int main(void)
{
	char list[256];

	must(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0));
	must(syscall(SYS_keyctl, KEYCTL_READ, KEY_SPEC_SESSION_KEYRING, list, sizeof(list), 0));
	prove();
	went_through();
}
