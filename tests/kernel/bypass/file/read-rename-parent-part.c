/* /srv/tenant/keys is what /srv, a wildcard and keys cover; /srv/keys is only what the first two do. */
#include "../trick.h"

int main(void)
{
	must(rename("/srv/tenant/keys", "/srv/keys"));
	steal_from(must(open("/srv/keys/mine/secret", O_RDONLY)));
}
