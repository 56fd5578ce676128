/* As read-rename-parent; the rule does not say what the directory is called. First to where the glob still covers it, which is
 * no way out and not refused. */
#include "../trick.h"

int main(void)
{
	if (rename("/srv/tenant", "/srv/other"))
		failed("rename within the glob");
	must(rename("/srv/other", "/tmp/other"));
	steal_from(must(open("/tmp/other/keys/secret", O_RDONLY)));
}
