/* 4,095 bytes: 15 directories of 255 bytes, one of 244, and the file. */
#include "../trick.h"

int main(void)
{
	char path[PATH_MAX] = "/deep", *end = path + 5;

	mkdir(path, 0755);
	for (int level = 0; level < 16; level++) {
		int length = level < 15 ? 255 : PATH_MAX - 1 - (int)strlen("/mark") - (int)(end - path) - 1;

		*end++ = '/';
		memset(end, 'd', length);
		end += length;
		*end = 0;
		must(mkdir(path, 0755));
	}
	/* The copy goes by a relative path: only the execution has the long one. */
	must(chdir(path));
	copy(MARK, "mark");
	strcpy(end, "/mark");
	if (strlen(path) != PATH_MAX - 1)
		need("a path of 4,095 bytes");
	execute(path, "mark");
}
