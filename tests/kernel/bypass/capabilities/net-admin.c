/* The loopback interface's flags, to what they are. */
#include "../peer.h"

int main(void)
{
	struct ifreq interface = { .ifr_name = "lo" };
	int control = must(socket(AF_INET, SOCK_DGRAM, 0));

	must(ioctl(control, SIOCGIFFLAGS, &interface));
	must(ioctl(control, SIOCSIFFLAGS, &interface));
	prove();
	went_through();
}
