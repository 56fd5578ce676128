//! What the agent asks of a driver, whatever holds the rules.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use moat_policy::RuleSet;

use crate::ContainerScope;

/// What drivers can be asked, whatever holds the rules.
pub trait Driver: Send {
    /// Puts `rules` in force for the container, replacing what held before, atomically; on error the last
    /// complete set still holds.
    fn apply(&mut self, scope: &ContainerScope, rules: &Arc<RuleSet>) -> Result<(), ApplyError>;

    /// [`Driver::apply`] will be asked for these, one after the other: what can be done for all of them at once is
    /// done now. Nothing is in force by that, and what fails here fails again there, where it is told.
    fn prepare(&mut self, _soon: &[(ContainerScope, Arc<RuleSet>)]) {}

    /// The container is known and nothing selects it: its held starts go on.
    fn dismiss(&mut self, scope: &ContainerScope) -> Result<(), ApplyError>;

    /// The container is gone.
    fn release(&mut self, cgroup: u64);

    /// What an agent before this one has left in force; `None` where there was nothing.
    fn inherited(&self) -> Option<Inherited> {
        None
    }

    /// Every container that runs is in `running`: what an agent before this one has left for others goes.
    fn forget_others(&mut self, _running: &HashSet<u64>) {}

    /// What was lost since the start, by stage.
    fn losses(&self) -> Vec<moat_event::Loss>;
}

/// What was in force when the agent came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inherited {
    /// Containers that had rules without an agent.
    pub containers: usize,
    /// Container starts that did not wait for rules, for no agent was there.
    pub unheld: u64,
}

/// A container start that waits, stopped before its first instruction, for [`Driver::apply`] or
/// [`Driver::dismiss`] of its cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub cgroup: u64,
    /// In the node's pid namespace.
    pub pid: u32,
}

/// Why rules were not put in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// More than this kernel or driver can hold; nothing of the set was applied.
    #[error("rule {rule:?} of policy {policy:?} does not fit: {what}")]
    DoesNotFit { policy: String, rule: String, what: String },
    /// The container ended while it was being set up.
    #[error("the container is gone")]
    Vanished,
    #[error("the kernel refused: {0}")]
    Kernel(#[from] io::Error),
}
