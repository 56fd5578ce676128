//! What a node needs besides the kernel's capabilities.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use serde::Serialize;

use crate::config::Config;

/// Programs report through a BPF ring buffer since Linux 5.8 and remember tasks in task storage since 5.11.
const OLDEST_KERNEL: (u32, u32) = (5, 11);

const RUNTIME_SOCKETS: [(&str, &str); 4] = [
    ("containerd", "/run/containerd/containerd.sock"),
    ("containerd (k3s)", "/run/k3s/containerd/containerd.sock"),
    ("docker", "/run/docker.sock"),
    ("crio", "/run/crio/crio.sock"),
];

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: &'static str,
    pub good: bool,
    pub detail: String,
}

pub fn checks(config: &Config, kernel_release: &str) -> Vec<Check> {
    vec![
        kernel(kernel_release),
        control_groups(Path::new("/sys/fs/cgroup")),
        type_information(),
        runtimes(config),
    ]
}

fn kernel(release: &str) -> Check {
    let good = version(release).is_some_and(|version| version >= OLDEST_KERNEL);
    let (major, minor) = OLDEST_KERNEL;
    let detail = if good {
        release.to_owned()
    } else {
        format!("{release}: Moat needs Linux {major}.{minor} or newer")
    };
    Check { name: "kernel", good, detail }
}

/// `(6, 1)` of `6.1.0-18-cloud-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn control_groups(root: &Path) -> Check {
    let (good, detail) = if root.join("cgroup.controllers").exists() {
        (true, "version 2")
    } else if root.join("unified/cgroup.procs").exists() {
        (true, "hybrid: versions 1 and 2")
    } else {
        (false, "version 1 only: boot with systemd.unified_cgroup_hierarchy=1")
    };
    Check { name: "control groups", good, detail: String::from(detail) }
}

fn type_information() -> Check {
    let path = "/sys/kernel/btf/vmlinux";
    let good = Path::new(path).exists();
    let detail = if good {
        String::from(path)
    } else {
        format!("{path} is missing: use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' are")
    };
    Check { name: "type information", good, detail }
}

fn runtimes(config: &Config) -> Check {
    let is_socket = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    let mut found: Vec<String> = RUNTIME_SOCKETS
        .iter()
        .filter(|(_, path)| is_socket(Path::new(path)))
        .map(|(name, path)| format!("{name} ({path})"))
        .collect();
    if let Some(socket) = config.socket.as_deref().filter(|socket| is_socket(socket)) {
        found.push(socket.display().to_string());
    }
    if found.is_empty() {
        let detail = String::from(
            "no socket found: start containerd, docker or crio, or name one with `moat up --runtime … --socket …`",
        );
        return Check { name: "container runtime", good: false, detail };
    }
    Check { name: "container runtime", good: true, detail: found.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        assert!(kernel("6.1.0-18-cloud-amd64").good);
        assert!(kernel("5.11").good);
        assert!(!kernel("5.4.0-150-generic").good);
        assert_eq!(kernel("odd").detail, "odd: Moat needs Linux 5.11 or newer");
    }

    #[test]
    fn control_group_modes_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        assert!(!control_groups(root.path()).good);
        std::fs::create_dir(root.path().join("unified")).unwrap();
        std::fs::write(root.path().join("unified/cgroup.procs"), "").unwrap();
        assert_eq!(control_groups(root.path()).detail, "hybrid: versions 1 and 2");
        std::fs::write(root.path().join("cgroup.controllers"), "").unwrap();
        assert_eq!(control_groups(root.path()).detail, "version 2");
    }
}
