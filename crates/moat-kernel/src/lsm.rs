//! The LSM driver: for kernels that take BPF LSM programs.
//!
//! Everything is judged in the kernel, before the act, by the same tables as in the guard driver. The tracepoint
//! programs only hold container starts and tell what each task is to its container.

mod files;

use std::ffi::CString;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use moat_event::Loss;
use moat_policy::RuleSet;

use crate::driver::{ApplyError, Driver, Held};
use crate::guard::{ARRIVING, CALLS, EXEC, OUTGOING};
use crate::programs::layout::Settings;
use crate::programs::object::load;
use crate::programs::{DriverConfig, LoadError, Programs, or_vanished};
use crate::programs::{attempt, calls};
use crate::{ContainerScope, Sink};

/// Those without which the driver is not used.
pub(crate) const JUDGES: &[&str] = &["moat_lsm_exec", "moat_lsm_map_code", "moat_lsm_protect_code"];
/// What no rule has to ask for.
pub(crate) const TAMPER: &[&str] = &[
    "moat_tamper_kill",
    "moat_tamper_sigio",
    "moat_tamper_trace",
    "moat_tamper_limit",
    "moat_tamper_map",
    "moat_tamper_program",
    "moat_tamper_link",
    "moat_tamper_unlink",
    "moat_tamper_rmdir",
    "moat_tamper_rename",
    "moat_tamper_clone",
    "moat_tamper_move",
];
/// Attached while rules need them.
pub(crate) const ON_DEMAND: &[&str] =
    &["moat_lsm_capable", "moat_lsm_connect", "moat_lsm_bind", "moat_lsm_listen", "moat_lsm_socket"];

/// The loaded driver. Dropping it leaves nothing in the kernel and lets every held start go on.
#[derive(Debug)]
pub struct Lsm {
    programs: Programs,
}

/// Those of system calls that this kernel has the hooks of; `files`: the programs that it takes for files.
fn call_hooks(files: &[&str]) -> Vec<&'static str> {
    let taken = |hook: &str| match hook {
        "path_chown" => files.contains(&files::OWNER),
        hook => CString::new(hook).is_ok_and(|hook| attempt::has_lsm_hook(&hook)),
    };
    calls::HOOKS.into_iter().filter(|program| calls::hook(program).is_some_and(taken)).collect()
}

impl Lsm {
    /// Loads the programs and starts reading. Records go to `sink`, container starts that wait to `held`.
    ///
    /// # Errors
    /// When this kernel refuses a program; nothing is left loaded then.
    pub fn load(config: &DriverConfig, sink: Sink, held: SyncSender<Held>) -> Result<Lsm, LoadError> {
        let files = files::programs();
        let loaded = load(
            &[JUDGES, &files, TAMPER, EXEC, CALLS, OUTGOING, ARRIVING, ON_DEMAND, &call_hooks(&files)]
                .concat(),
            Settings { v1_controller: config.v1_controller, judged_before: true, ..Settings::default() },
        )?;
        // First what judges: a container whose start was held must find it in place.
        let programs = Programs::start(loaded, &[JUDGES, &files, TAMPER, EXEC].concat(), config, sink, held)?;
        Ok(Lsm { programs })
    }

    fn put(&mut self, scope: &ContainerScope, rules: Option<&Arc<RuleSet>>) -> Result<(), ApplyError> {
        self.programs.put(scope, rules, |_| Ok(())).map_err(|error| or_vanished(scope, error))
    }
}

impl Driver for Lsm {
    fn apply(&mut self, scope: &ContainerScope, rules: &Arc<RuleSet>) -> Result<(), ApplyError> {
        self.put(scope, Some(rules))
    }

    fn dismiss(&mut self, scope: &ContainerScope) -> Result<(), ApplyError> {
        self.put(scope, None)
    }

    fn release(&mut self, cgroup: u64) {
        self.programs.release(cgroup, || {});
    }

    fn losses(&self) -> Vec<Loss> {
        self.programs.losses()
    }
}
