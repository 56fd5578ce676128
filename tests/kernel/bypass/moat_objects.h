/* Finds what Moat has loaded: programs and maps by their names, links by their programs, pins by their folder. */
#ifndef MOAT_OBJECTS_H
#define MOAT_OBJECTS_H

#include "trick.h"
#include <dirent.h>
#include <linux/bpf.h>

static inline int object_by_id(int command, uint32_t id)
{
	union bpf_attr object = { .map_id = id };

	return must(syscall(SYS_bpf, command, &object, sizeof(object)));
}

/* The next number after `id`, or none. */
static inline int next_id(int command, uint32_t *id)
{
	union bpf_attr walk = { .start_id = *id };

	if (syscall(SYS_bpf, command, &walk, sizeof(walk))) {
		if (errno != ENOENT)
			judged("bpf", -1);
		return 0;
	}
	*id = walk.next_id;
	return 1;
}

static inline void describe(int file, void *info, uint32_t size)
{
	union bpf_attr about = { .info.bpf_fd = file, .info.info_len = size, .info.info = (uintptr_t)info };

	must(syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &about, sizeof(about)));
}

/* Moat's programs are called moat_…; the first one's descriptor. */
static inline int moat_program(void)
{
	for (uint32_t id = 0; next_id(BPF_PROG_GET_NEXT_ID, &id);) {
		struct bpf_prog_info program = { 0 };
		int file = object_by_id(BPF_PROG_GET_FD_BY_ID, id);

		describe(file, &program, sizeof(program));
		if (!strncmp(program.name, "moat_", 5))
			return file;
		close(file);
	}
	need("a loaded program of Moat's");
}

/* The map that says which cgroups are containers, with at least one entry. */
static inline int moat_map(struct bpf_map_info *map)
{
	for (uint32_t id = 0; next_id(BPF_MAP_GET_NEXT_ID, &id);) {
		int file = object_by_id(BPF_MAP_GET_FD_BY_ID, id);

		memset(map, 0, sizeof(*map));
		describe(file, map, sizeof(*map));
		if (!strcmp(map->name, "containers"))
			return file;
		close(file);
	}
	need("a map of Moat's");
}

static inline int moat_link(void)
{
	for (uint32_t id = 0; next_id(BPF_LINK_GET_NEXT_ID, &id);) {
		struct bpf_link_info link = { 0 };
		struct bpf_prog_info program = { 0 };
		int file = object_by_id(BPF_LINK_GET_FD_BY_ID, id), its_program;

		describe(file, &link, sizeof(link));
		its_program = object_by_id(BPF_PROG_GET_FD_BY_ID, link.prog_id);
		describe(its_program, &program, sizeof(program));
		close(its_program);
		if (!strncmp(program.name, "moat_", 5))
			return file;
		close(file);
	}
	need("a link of Moat's");
}

/* The path of a pin, through the root directory of the first process of the host. */
static inline void moat_pin(char path[PATH_MAX])
{
	static const char folder[] = "/proc/1/root/sys/fs/bpf/moat";
	struct dirent *entry;
	DIR *pins = opendir(folder);

	if (!pins && errno == ENOENT)
		need("pins of Moat's");
	if (!pins)
		judged("opendir", -1);
	while ((entry = readdir(pins)))
		if (entry->d_type == DT_REG) {
			snprintf(path, PATH_MAX, "%s/%s", folder, entry->d_name);
			closedir(pins);
			return;
		}
	need("pins of Moat's");
}

#endif
