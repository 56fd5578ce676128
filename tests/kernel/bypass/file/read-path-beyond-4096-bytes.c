/* Thirty directories of 255 bytes, entered one by one: d_path itself says ENAMETOOLONG here. */
#include "../trick.h"

int main(void)
{
	char name[256];

	memset(name, 'd', 255);
	name[255] = 0;
	mkdir("/deep", 0755);
	must(chdir("/deep"));
	for (int level = 0; level < 30; level++) {
		must(mkdir(name, 0755));
		must(chdir(name));
	}
	write_file("secret", "secret");
	steal_from(must(open("secret", O_RDONLY)));
}
