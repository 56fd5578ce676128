//! What a change of policies would have meant for what was recorded: every recorded act is decided twice, by the
//! policies as they are and as they would be.
//!
//! Records tell what rules saw, not everything that happened: that nothing would be denied of them is no proof that
//! nothing would be.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use moat_event::{Severity, Workload};
use schemars::JsonSchema;
use serde::Serialize;

use crate::compiled::CompileError;
use crate::decide::Evaluator;
use crate::decision::Verdict;
use crate::model::{Mode, RuleAction, RuntimePolicy};
use crate::policy_set::{ActivePolicy, PolicySet, PolicySetError};
use crate::{Attempt, Users};

/// Different acts that are decided; what is recorded beyond is counted and left out.
pub const MAX_ACTS: usize = 100_000;

#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    #[error(transparent)]
    Policies(#[from] PolicySetError),
    #[error(transparent)]
    Rule(#[from] CompileError),
}

/// One recorded act, or several alike.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub workload: Arc<Workload>,
    pub attempt: Attempt,
    pub count: u64,
    pub at: Timestamp,
    /// Id of the event that tells of it.
    pub event: Option<String>,
}

/// Takes records, then says what would change.
#[derive(Debug)]
pub struct Simulator {
    current: Vec<ActivePolicy>,
    candidate: ActivePolicy,
    /// Of nodes that have no policies of their own.
    sets: Sets,
    own_sets: Vec<Sets>,
    /// Places in `own_sets`.
    by_node: HashMap<String, usize>,
    now: Timestamp,
    containers: BTreeMap<String, Container>,
    acts: usize,
    left_out: u64,
}

/// What is in force on some nodes, and would be.
#[derive(Debug)]
struct Sets {
    before: PolicySet,
    after: PolicySet,
}

impl Sets {
    /// A node's `own` policy is in force in place of one for all nodes that has its name.
    fn new(
        current: &[ActivePolicy],
        candidate: &ActivePolicy,
        own: &[ActivePolicy],
    ) -> Result<Sets, PolicySetError> {
        let is_of = |policies: &[ActivePolicy], name: &str| {
            policies.iter().any(|policy| policy.policy.metadata.name == name)
        };
        let name = &candidate.policy.metadata.name;
        let for_all = current.iter().filter(|policy| !is_of(own, &policy.policy.metadata.name));
        let others = for_all.clone().filter(|policy| policy.policy.metadata.name != *name);
        let candidate = (!is_of(own, name)).then_some(candidate);
        Ok(Sets {
            before: PolicySet::new(own.iter().chain(for_all).cloned(), 1)?,
            after: PolicySet::new(own.iter().chain(others).chain(candidate).cloned(), 2)?,
        })
    }
}

#[derive(Debug)]
struct Container {
    workload: Arc<Workload>,
    acts: HashMap<Attempt, Tally>,
}

#[derive(Debug)]
struct Tally {
    count: u64,
    last: Timestamp,
    event: Option<String>,
}

/// What would change.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// By namespace, kind and name.
    pub workloads: Vec<WorkloadChanges>,
    /// Different acts that were decided.
    pub acts: usize,
    /// Acts beyond [`MAX_ACTS`], which were not.
    pub left_out: u64,
}

/// What would change for one workload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadChanges {
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// Containers of which there are records.
    pub containers: usize,
    /// Allowed now, and would be denied: blocked, or answered by killing.
    pub newly_denied: Vec<Change>,
    /// Denied now, and would be allowed.
    pub newly_allowed: Vec<Change>,
    /// Another rule or action, but as allowed or denied as before.
    pub otherwise_decided: Vec<Change>,
    /// Different acts that would be decided by the same rule with the same action, or by none.
    pub unchanged: usize,
    /// Different acts whose recorded details do not suffice: arguments that a rule asks for.
    pub undecided: usize,
    /// User names in rules that only the container's own passwd file could tell; such rules matched nobody here.
    pub unresolved_users: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub container: String,
    pub attempt: Attempt,
    /// How often it was recorded, and when last.
    pub count: u64,
    pub last: Timestamp,
    /// An event that tells of it.
    pub event: Option<String>,
    /// `None`: no rule speaks, allowed.
    pub before: Option<Effect>,
    pub after: Option<Effect>,
}

/// The enforced rule that decides.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    pub policy: String,
    pub rule: String,
    pub action: RuleAction,
    pub severity: Severity,
    pub reason: String,
}

impl Simulator {
    /// `current` are the policies in force; `candidate` takes the place of the one with its name. It is taken for
    /// enforced, whatever its mode: what is asked is what it would deny once it is.
    pub fn new(
        current: Vec<ActivePolicy>,
        candidate: RuntimePolicy,
        now: Timestamp,
    ) -> Result<Simulator, SimulateError> {
        let mut enforced = candidate;
        enforced.spec.mode = Mode::Enforce;
        enforced.spec.enforce_after = None;
        let candidate = ActivePolicy { first_seen: now, policy: Arc::new(enforced) };
        Ok(Simulator {
            sets: Sets::new(&current, &candidate, &[])?,
            current,
            candidate,
            own_sets: Vec::new(),
            by_node: HashMap::new(),
            now,
            containers: BTreeMap::new(),
            acts: 0,
            left_out: 0,
        })
    }

    /// These nodes have policies of their own, besides those for all.
    pub fn with_own(
        mut self,
        nodes: impl IntoIterator<Item = String>,
        own: &[ActivePolicy],
    ) -> Result<Simulator, SimulateError> {
        self.own_sets.push(Sets::new(&self.current, &self.candidate, own)?);
        let place = self.own_sets.len() - 1;
        self.by_node.extend(nodes.into_iter().map(|node| (node, place)));
        Ok(self)
    }

    pub fn record(&mut self, recorded: Recorded) {
        let Recorded { workload, attempt, count, at, event } = recorded;
        let id = workload.container_id.clone();
        let container =
            self.containers.entry(id).or_insert_with(|| Container { workload, acts: HashMap::new() });
        let acts = &mut container.acts;
        if let Some(tally) = acts.get_mut(&attempt) {
            tally.count += count;
            if at >= tally.last {
                tally.last = at;
                tally.event = event.or(tally.event.take());
            }
        } else if self.acts < MAX_ACTS {
            self.acts += 1;
            acts.insert(attempt, Tally { count, last: at, event });
        } else {
            self.left_out += 1;
        }
    }

    pub fn finish(mut self) -> Result<Simulation, SimulateError> {
        let mut evaluators = Evaluators::default();
        let mut workloads: BTreeMap<(String, String, String), WorkloadChanges> = BTreeMap::new();
        for container in std::mem::take(&mut self.containers).into_values() {
            let workload = &container.workload;
            let own = self.by_node.get(&workload.node).and_then(|place| self.own_sets.get_mut(*place));
            let Sets { before, after } = own.unwrap_or(&mut self.sets);
            let before = evaluators.of(before, workload, self.now)?;
            let after = evaluators.of(after, workload, self.now)?;
            let key = (workload.namespace.clone(), workload.kind.clone(), workload.name.clone());
            let changes =
                workloads.entry(key).or_insert_with_key(|(namespace, kind, name)| WorkloadChanges {
                    namespace: namespace.clone(),
                    kind: kind.clone(),
                    name: name.clone(),
                    ..WorkloadChanges::default()
                });
            changes.containers += 1;
            changes.unresolved_users.extend(after.unresolved_users().into_iter().map(str::to_owned));
            for (attempt, tally) in container.acts {
                changes.add(&workload.container, attempt, tally, &before, &after);
            }
        }
        let mut workloads: Vec<_> = workloads.into_values().collect();
        workloads.iter_mut().for_each(WorkloadChanges::sort);
        Ok(Simulation { workloads, acts: self.acts, left_out: self.left_out })
    }
}

impl WorkloadChanges {
    fn add(
        &mut self,
        container: &str,
        attempt: Attempt,
        tally: Tally,
        before: &Evaluator,
        after: &Evaluator,
    ) {
        let (Ok(old), Ok(new)) = (effect(before, &attempt), effect(after, &attempt)) else {
            self.undecided += 1;
            return;
        };
        let decided = |effect: &Option<Effect>| {
            effect.as_ref().map(|effect| (effect.policy.clone(), effect.rule.clone(), effect.action))
        };
        if decided(&old) == decided(&new) {
            self.unchanged += 1;
            return;
        }
        let denied =
            |effect: &Option<Effect>| effect.as_ref().is_some_and(|effect| effect.action > RuleAction::Alert);
        let list = match (denied(&old), denied(&new)) {
            (false, true) => &mut self.newly_denied,
            (true, false) => &mut self.newly_allowed,
            _ => &mut self.otherwise_decided,
        };
        let Tally { count, last, event } = tally;
        list.push(Change {
            container: container.to_owned(),
            attempt,
            count,
            last,
            event,
            before: old,
            after: new,
        });
    }

    /// The most frequent first.
    fn sort(&mut self) {
        for list in [&mut self.newly_denied, &mut self.newly_allowed, &mut self.otherwise_decided] {
            list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| b.last.cmp(&a.last)));
        }
        self.unresolved_users.sort();
        self.unresolved_users.dedup();
    }
}

/// The arguments decide, and were not recorded.
struct Undecided;

fn effect(evaluator: &Evaluator, attempt: &Attempt) -> Result<Option<Effect>, Undecided> {
    attempt.judged(|activity| match evaluator.decide(activity).enforced {
        Verdict::NoMatch => Ok(None),
        Verdict::NeedsArguments => Err(Undecided),
        Verdict::Match { index, rule } => Ok(Some(Effect {
            policy: rule.policy.to_string(),
            rule: rule.rule.to_string(),
            action: rule.action,
            severity: rule.severity,
            reason: evaluator.reason(index, activity),
        })),
    })
}

/// Rule sets that decide alike are compiled once.
#[derive(Debug, Default)]
struct Evaluators {
    by_hash: HashMap<String, Arc<Evaluator>>,
}

impl Evaluators {
    fn of(
        &mut self,
        set: &mut PolicySet,
        workload: &Workload,
        now: Timestamp,
    ) -> Result<Arc<Evaluator>, CompileError> {
        let rules = set.rule_set(workload, now);
        if let Some(made) = self.by_hash.get(&rules.hash) {
            return Ok(Arc::clone(made));
        }
        let hash = rules.hash.clone();
        let made = Arc::new(Evaluator::new(rules, &Users::default())?);
        self.by_hash.insert(hash, Arc::clone(&made));
        Ok(made)
    }
}

#[cfg(test)]
mod tests;
