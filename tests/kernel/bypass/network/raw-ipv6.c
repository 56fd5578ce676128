/* Another family. */
#include "../peer.h"

int main(void)
{
	must(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	prove();
	went_through();
}
