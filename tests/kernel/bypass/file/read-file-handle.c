/* open_by_handle_at: a number of the inode, no path at all. On a volume: overlay gives no handles. */
#include "../trick.h"

int main(void)
{
	struct {
		struct file_handle head;
		unsigned char rest[MAX_HANDLE_SZ];
	} handle = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id, volume = must(open("/volume", O_RDONLY | O_DIRECTORY));

	must(name_to_handle_at(AT_FDCWD, "/volume/secret", &handle.head, &mount_id, 0));
	steal_from(must(open_by_handle_at(volume, &handle.head, O_RDONLY)));
}
