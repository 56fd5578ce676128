//! Which tasks are the container's: those in its control group or below it (cgroups(7)).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io;

use super::mounts;
use super::task::Processes;
use crate::ContainerScope;

/// A container's control group, as the lines of `/proc/PID/cgroup` name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cgroup {
    hierarchy: Hierarchy,
    path: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hierarchy {
    Version2,
    /// The hierarchy of this version 1 controller.
    Version1(Vec<u8>),
}

impl Hierarchy {
    /// The path in this hierarchy, from lines of `ID:CONTROLLERS:PATH`.
    fn path<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        text.split(|&byte| byte == b'\n').find_map(|line| {
            let mut fields = line.splitn(3, |&byte| byte == b':');
            let id = fields.next()?;
            let controllers = fields.next()?;
            let path = fields.next()?;
            let ours = match self {
                Hierarchy::Version2 => id == b"0" && controllers.is_empty(),
                Hierarchy::Version1(name) => {
                    controllers.split(|&byte| byte == b',').any(|controller| controller == name)
                }
            };
            ours.then_some(path)
        })
    }
}

impl Cgroup {
    /// The group of the scope: among those of its first process, in version 2 first, the one whose directory has the
    /// scope's inode number.
    ///
    /// # Errors
    ///
    /// `ENOENT` where there is none, so that the process is not in that container.
    pub fn of(scope: &ContainerScope, processes: &mut Processes) -> io::Result<Cgroup> {
        let mut mounts: Vec<_> = mounts::parse(processes.read(std::process::id(), "mountinfo")?)
            .filter(|mount| mount.filesystem == b"cgroup2" || mount.filesystem == b"cgroup")
            .collect();
        mounts.sort_by_key(|mount| mount.filesystem != b"cgroup2");
        let text = processes.read(scope.init_pid, "cgroup")?;
        let found = mounts.iter().find_map(|mount| {
            let hierarchy = match mount.filesystem.as_slice() {
                b"cgroup2" => Hierarchy::Version2,
                // Mounted by the names of its controllers, or of any one of them.
                _ => Hierarchy::Version1(
                    mount.point.rsplit(|&byte| byte == b'/' || byte == b',').next()?.to_vec(),
                ),
            };
            let path = hierarchy.path(text)?;
            let path =
                ancestor_with_inode(path, scope.cgroup, Path::new(OsStr::from_bytes(&mount.point)))?.to_vec();
            Some(Cgroup { hierarchy, path })
        });
        found.ok_or(io::Errno::NOENT)
    }

    /// Whether a task with this `/proc/TID/cgroup` is in the group or below it.
    pub fn contains(&self, text: &[u8]) -> bool {
        self.hierarchy.path(text).is_some_and(|path| is_within(path, &self.path))
    }
}

/// `path` or the ancestor of it whose directory below `mount` has this inode number. Never the hierarchy's root: every
/// process of the node is in that.
fn ancestor_with_inode<'a>(path: &'a [u8], inode: u64, mount: &Path) -> Option<&'a [u8]> {
    let mut path = path;
    loop {
        let relative = OsStr::from_bytes(path.strip_prefix(b"/").filter(|relative| !relative.is_empty())?);
        if std::fs::metadata(mount.join(relative)).is_ok_and(|metadata| metadata.ino() == inode) {
            return Some(path);
        }
        path = path.get(..path.iter().rposition(|&byte| byte == b'/')?)?;
    }
}

/// Whether `path` is `ancestor` or below it.
pub(super) fn is_within(path: &[u8], ancestor: &[u8]) -> bool {
    ancestor == b"/"
        || path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"9:name=systemd:/\n4:cpu,memory:/pods/a:b/inner\n0::/pods/v2\n";

    fn cgroup(hierarchy: Hierarchy, path: &str) -> Cgroup {
        Cgroup { hierarchy, path: path.into() }
    }

    #[test]
    fn a_task_is_told_by_the_hierarchy_of_its_container() {
        assert!(cgroup(Hierarchy::Version2, "/pods/v2").contains(TEXT));
        assert!(!cgroup(Hierarchy::Version2, "/pods/a:b").contains(TEXT));
        assert!(cgroup(Hierarchy::Version1(b"memory".to_vec()), "/pods/a:b").contains(TEXT));
        assert!(!cgroup(Hierarchy::Version1(b"pids".to_vec()), "/pods/a:b").contains(TEXT));
        assert!(!cgroup(Hierarchy::Version2, "/pods/v2").contains(b""));
    }

    #[test]
    fn a_group_is_within_itself_and_its_ancestors_only() {
        assert!(is_within(b"/pods/a", b"/pods/a"));
        assert!(is_within(b"/pods/a/b", b"/pods/a"));
        assert!(!is_within(b"/pods/ab", b"/pods/a"));
        assert!(!is_within(b"/pods", b"/pods/a"));
    }

    #[test]
    fn the_root_group_is_no_container() {
        let root = std::fs::metadata("/").unwrap().ino();
        assert_eq!(ancestor_with_inode(b"/", root, Path::new("/")), None);
        let usr = std::fs::metadata("/usr/bin").unwrap().ino();
        assert_eq!(ancestor_with_inode(b"/usr/bin/none", usr, Path::new("/")), Some(&b"/usr/bin"[..]));
    }
}
