//! The guard driver: for kernels that refuse BPF LSM programs.
//!
//! Two halves hold the same rules. Permission events of fanotify answer `EPERM` to executions and opens
//! ([`crate::fanotify`]); kernel programs judge every execution with its arguments before its first
//! instruction, connections, and system calls ([`crate::programs`]). This module puts both together.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use moat_event::Loss;
use moat_policy::RuleSet;

use crate::driver::{ApplyError, Driver, Held};
use crate::fanotify::FilePermissions;
use crate::programs::layout::Settings;
use crate::programs::object::load;
use crate::programs::observer;
use crate::programs::pins::{Instance, unpin};
use crate::programs::{DriverConfig, LoadError, Programs, SETTLE, or_vanished};
use crate::{Capabilities, ContainerScope, Sink, probe};

/// Those that judge executions and hold starts. The fork program comes first: a runtime that is marked must pass
/// the mark on to its children.
pub(crate) const EXEC: &[&str] = &["moat_cgroup_made", "moat_cgroup_gone", "moat_fork", "moat_exec"];
pub(crate) const CALLS: &[&str] = &["moat_syscall", "moat_refused"];
pub(crate) const OUTGOING: &[&str] =
    &["moat_connect4", "moat_connect6", "moat_sendmsg4", "moat_sendmsg6", "moat_packet_out"];
pub(crate) const ARRIVING: &[&str] = &["moat_packet_in"];

/// The loaded driver. Dropping it leaves nothing in the kernel and lets every held start go on.
#[derive(Debug)]
pub struct Guard {
    files: FilePermissions,
    programs: Programs,
    instance: Option<Instance>,
}

impl Guard {
    /// Loads the programs and starts reading. Records go to `sink`, container starts that wait to `held`.
    ///
    /// # Errors
    /// When this kernel refuses a program; nothing is left loaded then.
    pub fn load(config: &DriverConfig, sink: Sink, held: SyncSender<Held>) -> Result<Guard, LoadError> {
        let settings = Settings {
            v1_controller: config.v1_controller,
            without_loop: config.without_loop,
            ..Settings::default()
        };
        let loaded = observer::load(config, |observe| {
            load(&[EXEC, CALLS, OUTGOING, ARRIVING, &[SETTLE], observe].concat(), settings, None)
        })?;
        let programs = Programs::start(loaded, EXEC, config, None, sink.clone(), held)?;
        let files = FilePermissions::new(sink, programs.tasks() as Arc<_>)?;
        Ok(Guard { files, programs, instance: config.instance.clone() })
    }

    fn put(&mut self, scope: &ContainerScope, rules: Option<&Arc<RuleSet>>) -> Result<(), ApplyError> {
        let files = &mut self.files;
        // What user space answers is in place before the kernel's half, so that neither judges alone by new
        // rules while the other still judges by old ones for longer than this function takes.
        self.programs
            .put(scope, rules, |in_force| {
                if let Some((profile, rules)) = in_force {
                    return files.apply(scope, rules, &profile.index);
                }
                files.release(scope.cgroup);
                Ok(())
            })
            .map_err(|error| or_vanished(scope, error))
    }

    /// Finds out what the driver is able to, but for what loading it has shown. `lsm`: why the LSM driver did not load;
    /// `None` if it was not tried.
    pub fn probe(&self, lsm: Option<String>) -> impl Fn() -> Capabilities + Send + Sync + use<> {
        let observes = self.programs.observes();
        move || probe::of_guard(lsm.as_deref(), observes)
    }

    /// Sets of rules that are in the kernel now.
    pub fn profiles(&self) -> usize {
        self.programs.profiles()
    }
}

impl Driver for Guard {
    fn prepare(&mut self, soon: &[(ContainerScope, Arc<RuleSet>)]) {
        self.programs.prepare(soon);
    }

    fn apply(&mut self, scope: &ContainerScope, rules: &Arc<RuleSet>) -> Result<(), ApplyError> {
        self.put(scope, Some(rules))
    }

    fn dismiss(&mut self, scope: &ContainerScope) -> Result<(), ApplyError> {
        self.put(scope, None)
    }

    fn release(&mut self, cgroup: u64) {
        let files = &mut self.files;
        self.programs.release(cgroup, || files.release(cgroup));
    }

    fn forget_others(&mut self, _running: &HashSet<u64>) {
        // The LSM driver may have been used before.
        if let Some(instance) = &self.instance
            && let Err(error) = unpin(instance)
        {
            tracing::warn!(%error, "cannot remove what an agent before this one has pinned");
        }
    }

    fn losses(&self) -> Vec<Loss> {
        let mut losses = self.programs.losses();
        losses.extend(self.files.losses());
        losses
    }
}
