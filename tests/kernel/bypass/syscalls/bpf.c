/* A map made: the first thing that any use of BPF does. */
#include "../trick.h"
#include <linux/bpf.h>

int main(void)
{
	union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };

	must(syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)));
	prove();
	went_through();
}
