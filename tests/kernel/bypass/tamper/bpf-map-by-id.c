/* The first entry is written again as it was: whoever can do that can write anything. */
#include "../moat_objects.h"

int main(void)
{
	unsigned char key[256] = { 0 }, value[65536];
	struct bpf_map_info map;
	int file = moat_map(&map);
	union bpf_attr first = { .map_fd = file, .next_key = (uintptr_t)key };

	if (map.key_size > sizeof(key) || map.value_size > sizeof(value))
		need("a map with small entries");
	must(syscall(SYS_bpf, BPF_MAP_GET_NEXT_KEY, &first, sizeof(first)));
	{
		union bpf_attr entry = { .map_fd = file, .key = (uintptr_t)key, .value = (uintptr_t)value };

		must(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &entry, sizeof(entry)));
		must(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &entry, sizeof(entry)));
	}
	prove();
	went_through();
}
