//! The driver of this node: as asked, or the best that its kernel takes.

use std::error::Error;
use std::fs;
use std::sync::mpsc::SyncSender;

use clap::ValueEnum;
use moat_kernel::guard::Guard;
use moat_kernel::lsm::Lsm;
use moat_kernel::{DriverConfig, Held, Instance, Observation, Sink};

use crate::agent::Loaded;
use crate::runtime::cgroup::{Hierarchy, Layout};

/// Which driver holds the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// `lsm` where the kernel takes it, else `guard`
    Auto,
    /// Programs at the hooks of BPF LSM
    Lsm,
    /// Permission events, tracepoints and signals
    Guard,
}

/// Loads the driver. What it pins is `instance`'s; it observes what containers do where there are `observations` to
/// put it.
pub fn load_driver(
    choice: Choice,
    hierarchy: &Hierarchy,
    oci_runtimes: &[String],
    instance: Instance,
    sink: Sink,
    observations: Option<Sink<Observation>>,
    held: SyncSender<Held>,
) -> Result<Loaded, Box<dyn Error + Send + Sync>> {
    let v1_controller = match hierarchy.layout() {
        Layout::Unified | Layout::Hybrid => None,
        Layout::Legacy { controller } => {
            Some(controller_index(&fs::read_to_string("/proc/cgroups")?, controller)?)
        }
    };
    // Set in every container of a pod.
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let mut config = DriverConfig {
        v1_controller,
        in_pod,
        instance: Some(instance),
        observations,
        ..DriverConfig::default()
    };
    if !oci_runtimes.is_empty() {
        config.oci_runtimes = oci_runtimes.to_vec();
    }
    let mut without_lsm = None;
    if choice != Choice::Guard {
        match Lsm::load(&config, sink.clone(), held.clone()) {
            Ok(lsm) => {
                let probe = Box::new(lsm.probe());
                return Ok(Loaded { driver: Box::new(lsm), name: "lsm", probe });
            }
            Err(error) if choice == Choice::Lsm => return Err(error.into()),
            Err(error) => {
                tracing::info!(%error, "the LSM driver does not load here; guard is used");
                without_lsm = Some(error.to_string());
            }
        }
    }
    let guard = Guard::load(&config, sink, held)?;
    let probe = Box::new(guard.probe(without_lsm));
    Ok(Loaded { driver: Box::new(guard), name: "guard", probe })
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
