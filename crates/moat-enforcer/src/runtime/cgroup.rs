//! Which cgroup a process is in: its directory, and its id as the kernel's programs see it.
//!
//! Hosts differ. A *unified* host has cgroup v2 alone, a *hybrid* one has the v1 controllers and an empty v2
//! hierarchy beside them, a *legacy* one has v1 alone (cgroups(7)). The id of a cgroup is the inode number of
//! its directory, in v2 (`bpf_get_current_cgroup_id`) and in v1 (`kernfs_node.id`) alike.
//!
//! A process may end at any time, so that every question about one may fail with [`CgroupError::Gone`].

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Which hierarchy tells the containers of this host apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// cgroup v2 alone.
    Unified,
    /// cgroup v2 beside v1 controllers; v2 is used.
    Hybrid,
    /// cgroup v1 alone: the hierarchy of this controller is used.
    Legacy { controller: String },
}

/// The hierarchy that tells containers apart, and where it is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    layout: Layout,
    /// The mount of the hierarchy's root.
    mount: PathBuf,
}

/// A cgroup that is not the host's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupRef {
    pub id: u64,
    pub directory: PathBuf,
    /// Path within the hierarchy, as in `/proc/PID/cgroup`.
    pub path: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("process {pid} has ended")]
    Gone { pid: u32 },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("no usable cgroup hierarchy is mounted: neither cgroup2 nor the v1 controllers memory or pids")]
    NoHierarchy,
    #[error("process {pid} is in no cgroup of the hierarchy in use")]
    NotInHierarchy { pid: u32 },
    #[error("process {pid} shares the cgroup {path} with the host's own processes")]
    Host { pid: u32, path: String },
    #[error("cgroup {path} lies outside this process's cgroup namespace; join the host's first")]
    OutsideNamespace { path: String },
    #[error(
        "cannot join the host's cgroup namespace: {source}; the agent needs the host's pid namespace and CAP_SYS_ADMIN"
    )]
    Join { source: io::Error },
}

/// v1 controllers that separate containers, best first.
const LEGACY_CONTROLLERS: [&str; 2] = ["memory", "pids"];

impl Hierarchy {
    /// Finds the hierarchy. Inside a container that shares the host's pid namespace the host's mounts are
    /// reached through its first process.
    pub fn detect() -> Result<Self, CgroupError> {
        for (mountinfo, prefix) in [("/proc/self/mountinfo", "/"), ("/proc/1/mountinfo", "/proc/1/root")] {
            match read(Path::new(mountinfo)) {
                Ok(text) => {
                    if let Some(found) = Self::from_mountinfo(&text, Path::new(prefix)) {
                        return Ok(found);
                    }
                }
                // Not being allowed to look into process 1 is no hindrance if nothing is to be found there.
                Err(error) => tracing::debug!(%error, "cannot look for cgroup mounts"),
            }
        }
        Err(CgroupError::NoHierarchy)
    }

    /// Finds the hierarchy among the mounts of a `/proc/PID/mountinfo`. Only mounts of a whole hierarchy
    /// count: in a container a part of it may be mounted.
    pub fn from_mountinfo(text: &str, prefix: &Path) -> Option<Self> {
        let mounts: Vec<Mount> =
            text.lines().filter_map(Mount::parse).filter(|mount| mount.root == "/").collect();
        let at = |mount: &Mount| prefix.join(mount.point.trim_start_matches('/'));
        let legacy = |controller: &str| {
            mounts.iter().find(|mount| {
                mount.kind == "cgroup" && mount.options.split(',').any(|option| option == controller)
            })
        };
        if let Some(unified) = mounts.iter().find(|mount| mount.kind == "cgroup2") {
            let hybrid = mounts.iter().any(|mount| mount.kind == "cgroup");
            let layout = if hybrid { Layout::Hybrid } else { Layout::Unified };
            return Some(Self { layout, mount: at(unified) });
        }
        LEGACY_CONTROLLERS.iter().find_map(|controller| {
            let layout = Layout::Legacy { controller: (*controller).to_owned() };
            Some(Self { layout, mount: at(legacy(controller)?) })
        })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where the root of the hierarchy is mounted.
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// The cgroup of a process. One that holds the host's own processes is refused, so that no rule for a
    /// container can ever reach them.
    pub fn cgroup_of(&self, pid: u32) -> Result<CgroupRef, CgroupError> {
        let path = self.path_of(pid)?;
        let own = self.path_of(std::process::id())?;
        if path == "/" || is_within(&own, &path) {
            return Err(CgroupError::Host { pid, path });
        }
        if Path::new(&path).components().any(|component| component == Component::ParentDir) {
            return Err(CgroupError::OutsideNamespace { path });
        }
        let directory = self.mount.join(path.trim_start_matches('/'));
        match fs::metadata(&directory) {
            Ok(metadata) => Ok(CgroupRef { id: metadata.ino(), directory, path }),
            // A cgroup can be removed only after its last process ended.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CgroupError::Gone { pid }),
            Err(source) => Err(CgroupError::Read { path: directory, source }),
        }
    }

    /// The path of a process's cgroup within this hierarchy.
    pub fn path_of(&self, pid: u32) -> Result<String, CgroupError> {
        let memberships = memberships_of(pid)?;
        let controller = match &self.layout {
            Layout::Unified | Layout::Hybrid => None,
            Layout::Legacy { controller } => Some(controller.as_str()),
        };
        memberships
            .into_iter()
            .find(|membership| match controller {
                None => membership.hierarchy == 0,
                Some(controller) => membership.controllers.iter().any(|name| name == controller),
            })
            .map(|membership| membership.path)
            .ok_or(CgroupError::NotInHierarchy { pid })
    }
}

/// One line of `/proc/PID/cgroup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// 0 is cgroup v2.
    pub hierarchy: u32,
    /// Controllers of a v1 hierarchy, or `name=…` of one that has none; empty in v2.
    pub controllers: Vec<String>,
    /// Starts with `/`; of a removed cgroup without the ` (deleted)` that the kernel adds.
    pub path: String,
}

/// The cgroups of a process, one in each hierarchy.
pub fn memberships_of(pid: u32) -> Result<Vec<Membership>, CgroupError> {
    let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
    match read(&path) {
        Ok(text) => Ok(parse_memberships(&text)),
        Err(CgroupError::Read { source, .. }) if process_is_gone(&source) => Err(CgroupError::Gone { pid }),
        Err(error) => Err(error),
    }
}

/// Parses the text of `/proc/PID/cgroup` (cgroups(7)); lines of another form are left out.
pub fn parse_memberships(text: &str) -> Vec<Membership> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let hierarchy = fields.next()?.parse().ok()?;
            let controllers = fields.next()?.split(',').filter(|name| !name.is_empty());
            let path = fields.next().filter(|path| path.starts_with('/'))?;
            Some(Membership {
                hierarchy,
                controllers: controllers.map(str::to_owned).collect(),
                path: path.strip_suffix(" (deleted)").unwrap_or(path).to_owned(),
            })
        })
        .collect()
}

/// Whether the cgroup `inner` is `outer` or lies below it.
pub fn is_within(inner: &str, outer: &str) -> bool {
    Path::new(inner).starts_with(outer)
}

/// Inode number of the cgroup namespace that the kernel starts with: `PROC_CGROUP_INIT_INO` of
/// `include/linux/proc_ns.h`.
const INITIAL_NAMESPACE: u64 = 0xEFFF_FFFB;

/// Makes this process see the host's cgroup paths, if it runs in a container that shares the host's pid
/// namespace but not its cgroup namespace. To be called before any thread is started: a namespace is joined by
/// one thread and inherited by those it starts. Returns whether there was anything to join.
pub fn join_host_namespace() -> Result<bool, CgroupError> {
    let identity = |path: &str| {
        let metadata = fs::metadata(path);
        metadata
            .map(|metadata| (metadata.dev(), metadata.ino()))
            .map_err(|source| CgroupError::Join { source })
    };
    let own = identity("/proc/self/ns/cgroup")?;
    // Process 1 may be closed even to root, and need not be asked by who is in the initial namespace.
    if own.1 == INITIAL_NAMESPACE || own == identity("/proc/1/ns/cgroup")? {
        return Ok(false);
    }
    let join = || -> io::Result<()> {
        let host = fs::File::open("/proc/1/ns/cgroup")?;
        let kind = rustix::thread::LinkNameSpaceType::ControlGroup;
        Ok(rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&host), Some(kind))?)
    };
    join().map_err(|source| CgroupError::Join { source })?;
    Ok(true)
}

/// What is needed of one line of mountinfo.
struct Mount {
    root: String,
    point: String,
    kind: String,
    /// Of the superblock: a v1 hierarchy's controllers are among them.
    options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut file_system = file_system.split(' ');
        Some(Self {
            root: unescape(mount.next()?),
            point: unescape(mount.next()?),
            kind: file_system.next()?.to_owned(),
            options: file_system.nth(1)?.to_owned(),
        })
    }
}

/// Undoes the octal escapes of mountinfo for blank, tab, newline and backslash.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

fn read(path: &Path) -> Result<String, CgroupError> {
    let bytes = fs::read(path).map_err(|source| CgroupError::Read { path: path.to_owned(), source })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `ENOENT` before the file is opened, `ESRCH` after.
fn process_is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

#[cfg(test)]
mod tests;
