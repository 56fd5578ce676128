/* The agent's pins, by the root directory of a process outside. */
#include "../moat_objects.h"

int main(void)
{
	char path[PATH_MAX];
	union bpf_attr pin = { .pathname = (uintptr_t)path };

	moat_pin(path);
	must(syscall(SYS_bpf, BPF_OBJ_GET, &pin, sizeof(pin)));
	prove();
	went_through();
}
