/* setns into it: the path is the host's own. */
#include "../moat_objects.h"

int main(void)
{
	char path[PATH_MAX], other[PATH_MAX + 8], *inside;
	int proof = must(open("/proof", O_PATH | O_DIRECTORY));

	moat_pin(path);
	inside = strstr(path, "/sys/fs/bpf");
	must(setns(must(open("/proc/1/ns/mnt", O_RDONLY)), CLONE_NEWNS));
	snprintf(other, sizeof(other), "%s-other", inside);
	must(rename(inside, other));
	must(openat(proof, "ran", O_WRONLY | O_CREAT, 0644));
	must(rename(other, inside));
	went_through();
}
