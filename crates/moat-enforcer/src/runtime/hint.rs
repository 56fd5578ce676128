//! From a process to its container, by the names of cgroups.

use super::cgroup;

/// What is known of a process whose container is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// In the node's pid namespace.
    pub pid: u32,
    /// Its path in `/proc/PID/cgroup`, e.g. `/kubepods/pod1/0123abcd`; `None` where it is not known yet.
    pub cgroup_path: Option<String>,
}

impl Hint {
    /// The cgroup paths of the process, without the roots; none if it ended and none was told.
    pub(super) fn cgroup_paths(&self) -> Vec<String> {
        self.cgroup_path.clone().map_or_else(|| paths_of(self.pid), |path| vec![path])
    }

    /// Whether the container with this first process holds this process, which is in the cgroups `paths`.
    /// A cgroup's name alone proves nothing: anybody may name a cgroup like somebody else's container.
    pub(super) fn is_held_by(&self, init_pid: u32, paths: &[String]) -> bool {
        let outer = || paths_of(init_pid);
        let inner = |outer: &String| paths.iter().any(|inner| cgroup::is_within(inner, outer));
        init_pid == self.pid || outer().iter().any(inner)
    }
}

fn paths_of(pid: u32) -> Vec<String> {
    let memberships = cgroup::memberships_of(pid).unwrap_or_default();
    memberships.into_iter().map(|membership| membership.path).filter(|path| path != "/").collect()
}

/// What may be a container's id in a cgroup path, likeliest first. Runtimes name the cgroup `ID`, and with
/// systemd `PREFIX-ID.scope` or `SLICE:PREFIX:ID`. A container may have cgroups of its own below.
pub(super) fn container_ids(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit('/').filter(|component| !component.is_empty()).flat_map(|component| {
        let scope = component.strip_suffix(".scope");
        let separators: &[char] = if scope.is_some() { &['-', ':'] } else { &[':'] };
        let name = scope.unwrap_or(component);
        let tails =
            name.rmatch_indices(separators).filter_map(|(at, separator)| name.get(at + separator.len()..));
        tails.chain([name]).filter(|id| !id.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_s_way_to_name_a_cgroup_tells_the_id() {
        let first = |path| container_ids(path).next().unwrap().to_owned();
        assert_eq!(first("/default/web-1"), "web-1");
        assert_eq!(first("/kubepods/burstable/pod12ab-34cd/0123abcd"), "0123abcd");
        assert_eq!(first("/kubepods.slice/kubepods-pod1.slice/cri-containerd-0123abcd.scope"), "0123abcd");
        assert_eq!(first("/machine.slice/crio-0123abcd.scope"), "0123abcd");
        assert_eq!(first("/system.slice/docker-0123abcd.scope"), "0123abcd");
        assert_eq!(first("/kubepods.slice:cri-containerd:0123abcd"), "0123abcd");
        // A name with dashes is found, if later.
        assert!(container_ids("/user.slice/nerdctl-my-web.scope").any(|id| id == "my-web"));
        // A cgroup that the container made below its own.
        assert!(container_ids("/default/web-1/init.scope").any(|id| id == "web-1"));
        assert_eq!(container_ids("/").count(), 0);
    }

    #[test]
    fn a_name_proves_nothing() {
        let hint = Hint { pid: u32::MAX, cgroup_path: Some("/default/web-1".to_owned()) };
        let paths = hint.cgroup_paths();
        assert_eq!(paths, ["/default/web-1"]);
        assert!(!hint.is_held_by(std::process::id(), &paths));
    }
}
