/* The path of the rule is free afterwards; the file lives on under another. */
#include "../trick.h"

int main(void)
{
	must(rename(MARK, "/tmp/other"));
	execute("/tmp/other", "other");
}
