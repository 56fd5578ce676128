/* The bytes never come to user space. */
#include "../trick.h"
#include <sys/sendfile.h>

int main(void)
{
	int proof = must(open("/proof/stolen", O_WRONLY | O_CREAT, 0644));

	must(sendfile(proof, must(open(SECRET, O_RDONLY)), NULL, 4096));
	went_through();
}
