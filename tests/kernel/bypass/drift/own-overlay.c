/* The file is the image's, below; what lies above it is not. Its file system is another. */
#include "../trick.h"

int main(void)
{
	must(mount("tmpfs", "/tmp/here", "tmpfs", 0, NULL));
	must(mkdir("/tmp/here/upper", 0755));
	must(mkdir("/tmp/here/work", 0755));
	must(mkdir("/tmp/here/merged", 0755));
	must(mount("overlay", "/tmp/here/merged", "overlay", 0,
		   "lowerdir=/usr/bin,upperdir=/tmp/here/upper,workdir=/tmp/here/work"));
	execute("/tmp/here/merged/mark", "mark");
}
