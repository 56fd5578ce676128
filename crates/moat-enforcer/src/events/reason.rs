//! Why a rule matched, in words: asked of the reference evaluator, one rule at a time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use moat_policy::{Activity, Evaluator, RuleSet, Users};

/// Compiled rules kept; a node with more rules that match at one time compiles some again.
const KEPT: usize = 512;

/// Rules that were asked about, compiled. Owned by the pipeline's thread.
#[derive(Debug, Default)]
pub struct Reasons {
    /// By cgroup, generation and index; `None` for a rule that cannot be compiled.
    evaluators: HashMap<(u64, u64, usize), Option<Evaluator>>,
}

/// A rule of a container, by the set it is in.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub cgroup: u64,
    pub rules: &'a RuleSet,
    pub index: usize,
    /// The container's first process, whose root holds its users.
    pub init_pid: Option<u32>,
}

impl Reasons {
    /// `None` where the evaluator, knowing only what the record tells, cannot say.
    pub fn reason(&mut self, place: Place<'_>, activity: &Activity<'_>) -> Option<String> {
        if self.evaluators.len() >= KEPT {
            self.evaluators.clear();
        }
        let key = (place.cgroup, place.rules.generation, place.index);
        let evaluator = self.evaluators.entry(key).or_insert_with(|| evaluator(place));
        let reason = evaluator.as_ref()?.reason(0, activity);
        (!reason.is_empty()).then_some(reason)
    }
}

/// The one rule as a set of its own.
fn evaluator(Place { rules, index, init_pid, .. }: Place<'_>) -> Option<Evaluator> {
    let rule = rules.rules.get(index)?.clone();
    let users = init_pid
        .and_then(|pid| moat_kernel::users::read(Path::new("/proc"), pid).ok())
        .unwrap_or_else(Users::default);
    let alone = RuleSet { generation: rules.generation, hash: String::new(), rules: vec![rule] };
    Evaluator::new(Arc::new(alone), &users).ok()
}
