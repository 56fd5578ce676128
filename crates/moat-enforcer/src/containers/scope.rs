//! Which part of the node a container's rules hold for.

use std::fs;
use std::io;
use std::path::Path;

use moat_kernel::ContainerScope;

use crate::runtime::cgroup::{CgroupError, Hierarchy, Layout};

#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// It lives in the node's own mount namespace: no container, or a process id that was used again.
    #[error("process {0} is not in a container")]
    NotInContainer(u32),
    #[error("the mount namespace of process {pid} cannot be read: {source}")]
    MountNamespace { pid: u32, source: io::Error },
}

impl ScopeError {
    /// Whether the container ended meanwhile.
    pub fn is_gone(&self) -> bool {
        match self {
            ScopeError::Cgroup(error) => matches!(error, CgroupError::Gone { .. }),
            ScopeError::MountNamespace { source, .. } => {
                matches!(source.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
            }
            ScopeError::NotInContainer(_) => false,
        }
    }
}

/// The scope of the container whose first process this is. One that would reach processes of the node is
/// refused.
pub fn scope(hierarchy: &Hierarchy, pid: u32) -> Result<ContainerScope, ScopeError> {
    let namespace = |pid: u32| {
        fs::read_link(Path::new("/proc").join(pid.to_string()).join("ns/mnt"))
            .map_err(|source| ScopeError::MountNamespace { pid, source })
    };
    let cgroup = hierarchy.cgroup_of(pid)?;
    let inhabited = namespace(pid)?;
    // Process 1 may be closed even to root; the agent itself then has to stand for the node.
    let of_the_node = |node: u32| namespace(node).is_ok_and(|namespace| namespace == inhabited);
    if of_the_node(1) || of_the_node(std::process::id()) {
        return Err(ScopeError::NotInContainer(pid));
    }
    let cgroup_directory = match hierarchy.layout() {
        Layout::Unified | Layout::Hybrid => Some(cgroup.directory),
        Layout::Legacy { .. } => None,
    };
    Ok(ContainerScope { cgroup: cgroup.id, cgroup_directory, init_pid: pid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_the_node_are_never_a_scope() {
        let hierarchy = Hierarchy::detect().unwrap();
        for pid in [1, std::process::id()] {
            let refused = scope(&hierarchy, pid).unwrap_err();
            assert!(!refused.is_gone(), "{refused}");
        }
        // Beyond the largest possible process id (PID_MAX_LIMIT).
        assert!(scope(&hierarchy, 1 << 23).unwrap_err().is_gone());
    }
}
