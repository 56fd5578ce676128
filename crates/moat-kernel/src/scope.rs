use std::path::PathBuf;

/// A running container as the drivers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerScope {
    /// Id of the container's cgroup in the hierarchy that tells containers apart: the inode number of its
    /// directory.
    pub cgroup: u64,
    /// Its directory in the cgroup v2 hierarchy; `None` on a node without one.
    pub cgroup_directory: Option<PathBuf>,
    /// The container's first process, in the node's pid namespace.
    pub init_pid: u32,
}
