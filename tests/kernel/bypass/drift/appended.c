/* The path is the image's; the content is not. */
#include "../trick.h"

int main(void)
{
	int file = must(open(MARK, O_WRONLY | O_APPEND));

	must(write(file, "x", 1));
	close(file);
	execute(MARK, "mark");
}
