/* SOCK_DGRAM of AF_PACKET writes everything but the link header. */
#include "../peer.h"

int main(void)
{
	must(socket(AF_PACKET, SOCK_DGRAM, htons(0x0800 /* ETH_P_IP */)));
	prove();
	went_through();
}
