//! Where in the cgroup hierarchies a container is.
//!
//! The hierarchy that tells containers apart is cgroup v2 wherever the container has a place of its own
//! there, as it has on v2 and on hybrid hosts; else it is v1's memory hierarchy.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use moat_kernel::ContainerScope;

/// The hierarchies that are mounted on this node.
#[derive(Debug, Clone)]
pub struct Cgroups {
    proc: PathBuf,
    unified: Option<Mount>,
    memory: Option<Mount>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    /// What of the hierarchy is mounted there.
    root: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The process ended.
    #[error("process {0} is gone")]
    Vanished(u32),
    /// Its cgroup holds processes of the node too; to enforce there would stop the node.
    #[error("process {pid} shares the cgroup {} with the node itself; give its container a cgroup of its own", cgroup.display())]
    SharedWithNode { pid: u32, cgroup: PathBuf },
    /// It lives in the node's own mount namespace: no container, or a process id that was used again.
    #[error("process {0} is not in a container")]
    NotInContainer(u32),
    #[error("the cgroup of process {pid} cannot be read: {source}")]
    Unreadable { pid: u32, source: io::Error },
}

/// A process's paths as `/proc/PID/cgroup` gives them.
#[derive(Debug, PartialEq, Eq, Default)]
struct Membership {
    unified: Option<PathBuf>,
    memory: Option<PathBuf>,
}

impl Cgroups {
    /// Finds the mounts; `proc` is the node's `/proc`.
    pub fn discover(proc: &Path) -> io::Result<Cgroups> {
        let mounts = fs::read_to_string(proc.join("self/mountinfo"))?;
        let cgroups = Cgroups {
            proc: proc.to_owned(),
            unified: mount(&mounts, |kind, _| kind == "cgroup2"),
            memory: mount(&mounts, |kind, options| {
                kind == "cgroup" && options.split(',').any(|option| option == "memory")
            }),
        };
        if cgroups.unified.is_none() && cgroups.memory.is_none() {
            let message = "neither cgroup v2 nor the v1 memory hierarchy is mounted; mount cgroup2 on /sys/fs/cgroup";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(cgroups)
    }

    /// The scope of the container whose first process this is.
    pub fn scope(&self, pid: u32) -> Result<ContainerScope, ScopeError> {
        let failed = |source: io::Error| match source.raw_os_error() {
            Some(libc::ENOENT | libc::ESRCH) => ScopeError::Vanished(pid),
            _ => ScopeError::Unreadable { pid, source },
        };
        let membership = self.membership(&pid.to_string()).map_err(failed)?;
        let mount_namespace = |pid: &str| fs::read_link(self.proc.join(pid).join("ns/mnt"));
        if mount_namespace(&pid.to_string()).map_err(failed)? == mount_namespace("1").map_err(failed)? {
            return Err(ScopeError::NotInContainer(pid));
        }
        let own = self.membership("self").map_err(failed)?;
        let choices = [
            (&self.unified, membership.unified, own.unified, true),
            (&self.memory, membership.memory, own.memory, false),
        ];
        let mut shared = PathBuf::from("/");
        for (mount, path, own, is_unified) in choices {
            let (Some(mount), Some(path)) = (mount, path) else { continue };
            if path == Path::new("/") || own.is_some_and(|own| own.starts_with(&path)) {
                shared = path;
                continue;
            }
            let directory = mount.directory(&path);
            let cgroup = directory.metadata().map_err(failed)?.ino();
            let cgroup_directory = is_unified.then_some(directory);
            return Ok(ContainerScope { cgroup, cgroup_directory, init_pid: pid });
        }
        Err(ScopeError::SharedWithNode { pid, cgroup: shared })
    }

    /// The path of the process's cgroup in the hierarchy that tells containers apart.
    pub fn path(&self, pid: u32) -> Option<String> {
        let Membership { unified, memory } = self.membership(&pid.to_string()).ok()?;
        let path = unified.filter(|path| path != Path::new("/")).or(memory)?;
        path.into_os_string().into_string().ok()
    }

    fn membership(&self, pid: &str) -> io::Result<Membership> {
        fs::read_to_string(self.proc.join(pid).join("cgroup")).map(|text| membership(&text))
    }
}

impl Mount {
    fn directory(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix(&self.root).or_else(|_| path.strip_prefix("/")).unwrap_or(path);
        self.point.join(below)
    }
}

/// The first mount in a `mountinfo` (proc(5)) of that file system type and super options.
fn mount(mounts: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<Mount> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let (root, point) = (before.next()?, before.next()?);
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        wanted(kind, options).then(|| Mount { point: PathBuf::from(point), root: PathBuf::from(root) })
    })
}

/// Reads `/proc/PID/cgroup` (cgroups(7)): `id:controllers:path` a line, v2's with id 0 and no controllers.
fn membership(text: &str) -> Membership {
    let mut membership = Membership::default();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let path = PathBuf::from(path);
        if id == "0" && controllers.is_empty() {
            membership.unified = Some(path);
        } else if controllers.split(',').any(|controller| controller == "memory") {
            membership.memory = Some(path);
        }
    }
    membership
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        28 23 0:25 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n\
        29 28 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
        30 28 0:27 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_mounts_of_a_hybrid_host_are_found() {
        let root = PathBuf::from("/");
        let unified = mount(HYBRID, |kind, _| kind == "cgroup2");
        assert_eq!(unified, Some(Mount { point: "/sys/fs/cgroup/unified".into(), root: root.clone() }));
        let memory = mount(HYBRID, |kind, options| kind == "cgroup" && options.contains("memory"));
        assert_eq!(memory, Some(Mount { point: "/sys/fs/cgroup/memory".into(), root }));
    }

    #[test]
    fn memberships_of_all_kinds_of_host_are_read() {
        let read = |text| {
            let Membership { unified, memory } = membership(text);
            (unified.map(|path| path.display().to_string()), memory.map(|path| path.display().to_string()))
        };
        let some = |path: &str| Some(path.to_owned());
        assert_eq!(read("0::/default/a:b\n"), (some("/default/a:b"), None));
        assert_eq!(read("4:cpu,memory:/docker/x\n1:name=systemd:/y\n"), (None, some("/docker/x")));
        assert_eq!(read("4:memory:/docker/x\n0::/\n"), (some("/"), some("/docker/x")));
        assert_eq!(read("nonsense\n:\n"), (None, None));
    }

    #[test]
    fn a_mount_of_a_part_of_the_hierarchy_is_followed() {
        let mount = Mount { point: "/mnt".into(), root: "/kubepods".into() };
        assert_eq!(mount.directory(Path::new("/kubepods/pod1/c1")), Path::new("/mnt/pod1/c1"));
        let mount = Mount { point: "/mnt".into(), root: "/".into() };
        assert_eq!(mount.directory(Path::new("/kubepods/pod1")), Path::new("/mnt/kubepods/pod1"));
    }

    #[test]
    fn processes_of_the_node_are_never_a_scope() {
        let cgroups = Cgroups::discover(Path::new("/proc")).unwrap();
        for pid in [1, std::process::id()] {
            let refused = cgroups.scope(pid).unwrap_err();
            assert!(
                matches!(refused, ScopeError::NotInContainer(_) | ScopeError::SharedWithNode { .. }),
                "{refused}"
            );
        }
        // Beyond the largest possible process id (PID_MAX_LIMIT).
        assert!(matches!(cgroups.scope(1 << 23), Err(ScopeError::Vanished(_))));
    }
}
