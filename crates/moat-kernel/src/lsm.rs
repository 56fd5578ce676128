//! The LSM driver: for kernels that take BPF LSM programs.
//!
//! Everything is judged in the kernel, before the act, by the same tables as in the guard driver. The tracepoint
//! programs only hold container starts and tell what each task is to its container.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use moat_event::Loss;
use moat_policy::RuleSet;

use crate::driver::{ApplyError, Driver, Held, Inherited};
use crate::guard::{ARRIVING, CALLS, EXEC, OUTGOING};
use crate::programs::attempt;
use crate::programs::demand;
use crate::programs::features::Features;
use crate::programs::layout::Settings;
use crate::programs::object::layout;
use crate::programs::observer;
use crate::programs::pins::Pins;
use crate::programs::{DriverConfig, LoadError, Programs, SETTLE, or_vanished};
use crate::{Capabilities, ContainerScope, Sink, probe};

/// Those without which the driver is not used.
pub(crate) const REQUIRED: &[&str] =
    &["moat_lsm_exec", "moat_lsm_open", "moat_lsm_map_code", "moat_lsm_protect_code"];
/// What no rule has to ask for, and is at no hook of the LSM.
pub(crate) const MOVES: &[&str] = &["moat_tamper_move"];

/// The loaded driver. Dropping it lets every held start go on; what it has pinned goes on judging, until the next one
/// takes over or [`crate::unpin`] removes it.
#[derive(Debug)]
pub struct Lsm {
    programs: Programs,
    features: Features,
}

impl Lsm {
    /// Loads the programs that this kernel takes and starts reading, in place of what an agent before this one has
    /// pinned. Records go to `sink`, container starts that wait to `held`.
    ///
    /// # Errors
    /// When this kernel refuses a program that is needed; what was there before stays as it was.
    pub fn load(config: &DriverConfig, sink: Sink, held: SyncSender<Held>) -> Result<Lsm, LoadError> {
        // Where none is taken, there is no need to try each.
        attempt::try_lsm().map_err(LoadError::Refused)?;
        let mut features = Features::listed()?;
        let layout = layout()?;
        let pins = config.instance.as_ref().map(|instance| Pins::open(instance, layout)).transpose();
        let pins = pins.unwrap_or_else(|error| {
            tracing::warn!(%error, "nothing can be pinned: enforcement will end with this agent");
            None
        });
        let abandon = pins.as_ref().map(Pins::abandonment);
        let programs = Lsm::start(&mut features, config, pins, sink, held);
        if let (Err(_), Some(abandon)) = (&programs, abandon) {
            abandon();
        }
        for missing in &features.missing {
            tracing::info!(hook = missing.feature.hook, why = missing.why, "a hook is not used");
        }
        Ok(Lsm { programs: programs?, features })
    }

    fn start(
        features: &mut Features,
        config: &DriverConfig,
        pins: Option<Pins>,
        sink: Sink,
        held: SyncSender<Held>,
    ) -> Result<Programs, LoadError> {
        let settings = Settings {
            v1_controller: config.v1_controller,
            judged_before: true,
            without_loop: config.without_loop,
            ..Settings::default()
        };
        let loaded = observer::load(config, |observe| {
            let other = [EXEC, MOVES, CALLS, OUTGOING, ARRIVING, &[SETTLE], observe].concat();
            features.load(REQUIRED, &other, settings, pins.as_ref())
        })?;
        // What judges is attached with the first rules that need it.
        let mut attach = features.programs();
        attach.retain(|program| !demand::is_on_demand(program));
        attach.extend([MOVES, EXEC].concat());
        Programs::start(loaded, &attach, config, pins, sink, held)
    }

    /// Finds out what the driver is able to, but for what loading it has shown.
    pub fn probe(&self) -> impl Fn() -> Capabilities + Send + Sync + use<> {
        let (features, observes) = (self.features.clone(), self.programs.observes());
        move || probe::of_lsm(&features, observes)
    }

    fn put(&mut self, scope: &ContainerScope, rules: Option<&Arc<RuleSet>>) -> Result<(), ApplyError> {
        self.programs.put(scope, rules, |_| Ok(())).map_err(|error| or_vanished(scope, error))
    }
}

impl Driver for Lsm {
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
        self.programs.release(cgroup, || {});
    }

    fn inherited(&self) -> Option<Inherited> {
        self.programs.inheritance()
    }

    fn forget_others(&mut self, running: &HashSet<u64>) {
        self.programs.forget_others(running);
    }

    fn losses(&self) -> Vec<Loss> {
        self.programs.losses()
    }
}
