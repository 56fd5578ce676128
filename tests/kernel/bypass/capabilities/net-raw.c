/* Held by the capability in place of the protocol. */
#include "../peer.h"

int main(void)
{
	must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	prove();
	went_through();
}
