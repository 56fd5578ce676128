// gcc: -pie
// marked-dynamic [FILE]: what mark does, in a program that the dynamic loader starts.
#include <fcntl.h>

int main(int argc, char **argv)
{
	return open(argc > 1 ? argv[1] : "/proof/ran", O_CREAT | O_RDWR, 0644) < 0;
}
