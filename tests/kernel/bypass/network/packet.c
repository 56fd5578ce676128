/* Below IP: nothing of the network rules is asked. */
#include "../peer.h"

int main(void)
{
	must(socket(AF_PACKET, SOCK_RAW, htons(3 /* ETH_P_ALL */)));
	prove();
	went_through();
}
