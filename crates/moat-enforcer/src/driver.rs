//! The driver of this node.

use std::error::Error;
use std::fs;
use std::sync::mpsc::SyncSender;

use moat_kernel::{DriverConfig, guard::Guard};
use moat_kernel::{Held, Sink};

use crate::agent::Loaded;
use crate::runtime::cgroup::{Hierarchy, Layout};

/// Loads the guard.
pub fn load_guard(
    hierarchy: &Hierarchy,
    oci_runtimes: &[String],
    sink: Sink,
    held: SyncSender<Held>,
) -> Result<Loaded, Box<dyn Error + Send + Sync>> {
    let v1_controller = match hierarchy.layout() {
        Layout::Unified | Layout::Hybrid => None,
        Layout::Legacy { controller } => {
            Some(controller_index(&fs::read_to_string("/proc/cgroups")?, controller)?)
        }
    };
    let mut config = DriverConfig { v1_controller, ..DriverConfig::default() };
    if !oci_runtimes.is_empty() {
        config.oci_runtimes = oci_runtimes.to_vec();
    }
    let guard = Guard::load(&config, sink, held)?;
    Ok(Loaded { driver: Box::new(guard), name: "guard", probe: moat_kernel::probe })
}

/// The kernel's number of a cgroup v1 controller: `/proc/cgroups` lists them in that order (cgroups(7);
/// `proc_cgroupstats_show` in kernel/cgroup/cgroup-v1.c).
fn controller_index(cgroups: &str, controller: &str) -> Result<i32, String> {
    cgroups
        .lines()
        .filter(|line| !line.starts_with('#'))
        .position(|line| line.split_whitespace().next() == Some(controller))
        .and_then(|position| i32::try_from(position).ok())
        .ok_or_else(|| format!("the kernel has no cgroup controller {controller}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_are_numbered_in_the_kernels_order() {
        let cgroups =
            "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\ncpu\t1\t1\t1\nmemory\t4\t9\t1\n";
        assert_eq!(controller_index(cgroups, "memory"), Ok(2));
        assert!(controller_index(cgroups, "pids").is_err());
    }
}
