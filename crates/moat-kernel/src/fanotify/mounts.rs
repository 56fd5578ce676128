//! Reads `/proc/PID/mountinfo` (`proc_pid_mountinfo(5)`) and chooses where the marks of a container go.
//!
//! The rule above all others: no mark on a file system that the node itself lives on.

use super::group::Span;

/// One line of mountinfo. Paths are bytes with the kernel's octal escapes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub id: u64,
    /// Major and minor number of the superblock.
    pub device: (u32, u32),
    /// The directory of the superblock that is mounted.
    pub root: Vec<u8>,
    /// Where, seen from the root of the process that the table belongs to.
    pub point: Vec<u8>,
    pub filesystem: Vec<u8>,
    pub no_exec: bool,
}

/// The mounts listed in `table`; lines that make no sense are left out.
pub(super) fn parse(table: &[u8]) -> impl Iterator<Item = Mount> {
    table.split(|&byte| byte == b'\n').filter_map(parse_line)
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let id = number(fields.next()?)?;
    let _parent = fields.next()?;
    let device = fields.next()?;
    let colon = device.iter().position(|&byte| byte == b':')?;
    let device = (number(device.get(..colon)?)?, number(device.get(colon + 1..)?)?);
    let root = unescape(fields.next()?);
    let point = unescape(fields.next()?);
    let no_exec = fields.next()?.split(|&byte| byte == b',').any(|option| option == b"noexec");
    let filesystem = fields.skip_while(|field| *field != b"-").nth(1)?.to_vec();
    Some(Mount { id, device, root, point, filesystem, no_exec })
}

fn number<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Undoes `\040` and the like.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = after
            .first_chunk::<3>()
            .filter(|digits| byte == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        if let Some(digits) = octal {
            plain.push(
                digits.iter().fold(0_u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
            );
            rest = after.get(3..).unwrap_or_default();
        } else {
            plain.push(byte);
            rest = after;
        }
    }
    plain
}

/// The mount that holds the container's root, and how far a mark on it may reach.
///
/// The superblock is marked only where it is the container's alone: mounted as a whole, and on the node's side (`node`
/// is the agent's own table) an overlay that is not the agent's own root, or not mounted at all. Otherwise the one mount
/// is marked; then a copy of the mount in another mount namespace escapes.
pub(super) fn root_span(root: &Mount, node: &[Mount]) -> Span {
    let own_root =
        node.iter().any(|mount| mount.device == root.device && (mount.point == b"/" || mount.root != b"/"));
    let on_node = node.iter().any(|mount| mount.device == root.device);
    let private = root.root == b"/" && !own_root && (root.filesystem == b"overlay" || !on_node);
    if private { Span::Filesystem } else { Span::Mount }
}

/// How a mount below the container's root is marked; `None` where nothing can be held by marking it.
pub(super) fn volume_span(volume: &Mount, root: &Mount, root_span: Span, node: &[Mount]) -> Option<Span> {
    const KERNEL_INTERFACES: [&[u8]; 16] = [
        b"proc",
        b"sysfs",
        b"devpts",
        b"cgroup",
        b"cgroup2",
        b"mqueue",
        b"securityfs",
        b"debugfs",
        b"tracefs",
        b"bpf",
        b"nsfs",
        b"configfs",
        b"pstore",
        b"efivarfs",
        b"binfmt_misc",
        b"devtmpfs",
    ];
    let covered = root_span == Span::Filesystem && volume.device == root.device;
    if covered || volume.id == root.id || KERNEL_INTERFACES.contains(&volume.filesystem.as_slice()) {
        return None;
    }
    let private = volume.filesystem == b"tmpfs"
        && volume.root == b"/"
        && !node.iter().any(|mount| mount.device == volume.device);
    Some(if private { Span::Filesystem } else { Span::Mount })
}

/// File systems whose server may be the container itself, which could keep our thread waiting for ever.
pub(super) fn is_served_from_user_space(mount: &Mount) -> bool {
    mount.filesystem.starts_with(b"fuse") || mount.filesystem == b"9p"
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"65 43 0:39 / / rw,relatime - overlay overlay rw,lowerdir=l,upperdir=u,workdir=w
66 65 0:40 / /proc rw,nosuid,nodev,noexec,relatime shared:5 master:2 - proc proc rw
67 65 0:41 / /run/with\\040space rw,noexec - tmpfs tmpfs rw
68 65 254:0 /var/lib/volumes/one /data rw,relatime - ext4 /dev/vda rw
nonsense
";

    fn mount(line: &str) -> Mount {
        parse_line(line.as_bytes()).unwrap()
    }

    #[test]
    fn a_table_is_read() {
        let mounts: Vec<_> = parse(TABLE).collect();
        assert_eq!(mounts.len(), 4);
        assert_eq!(mounts[0].device, (0, 39));
        assert_eq!(mounts[1].filesystem, b"proc");
        assert_eq!(mounts[2].point, b"/run/with space");
        assert!(mounts[2].no_exec && !mounts[3].no_exec);
        assert_eq!(mounts[3].root, b"/var/lib/volumes/one");
    }

    #[test]
    fn only_a_file_system_of_the_containers_own_is_marked_whole() {
        let node: Vec<_> = parse(
            b"43 1 254:0 / / rw - ext4 /dev/vda rw
90 43 0:39 / /run/runtime/one/rootfs rw - overlay overlay rw
91 43 0:50 / /run/secrets rw - tmpfs tmpfs rw
92 43 254:16 / /data rw - ext4 /dev/vdb rw
",
        )
        .collect();
        let own = mount("65 43 0:39 / / rw - overlay overlay rw");
        assert_eq!(root_span(&own, &node), Span::Filesystem);
        let host_directory = mount("65 43 254:0 /bundle/rootfs / rw - ext4 /dev/vda rw");
        assert_eq!(root_span(&host_directory, &node), Span::Mount);
        let data_disk = mount("65 43 254:16 / / rw - ext4 /dev/vdb rw");
        assert_eq!(root_span(&data_disk, &node), Span::Mount);
        let host_root = mount("65 43 254:0 / / rw - ext4 /dev/vda rw");
        assert_eq!(root_span(&host_root, &node), Span::Mount);

        let volumes: Vec<_> =
            parse(TABLE).map(|volume| volume_span(&volume, &own, Span::Filesystem, &node)).collect();
        assert_eq!(volumes, [None, None, Some(Span::Filesystem), Some(Span::Mount)]);
        let secret = mount("70 65 0:50 / /run/secrets ro - tmpfs tmpfs rw");
        assert_eq!(volume_span(&secret, &own, Span::Filesystem, &node), Some(Span::Mount));
    }

    #[test]
    fn the_agents_own_overlay_root_is_never_marked_whole() {
        let node: Vec<_> = parse(b"43 1 0:39 / / rw - overlay overlay rw\n").collect();
        assert_eq!(root_span(&mount("65 43 0:39 / / rw - overlay overlay rw"), &node), Span::Mount);
    }
}
