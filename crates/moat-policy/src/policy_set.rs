//! All runtime policies in force on a node, and the rule set that they make for each workload.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::{Arc, Weak};

use jiff::Timestamp;
use moat_event::Workload;
use sha2::{Digest, Sha256};

use crate::enforce_after::{EnforceAfter, EnforceAfterError};
use crate::model::{Mode, Rule, RuntimePolicy};
use crate::rule_set::{EffectiveRule, Matcher, RuleSet};
use crate::select::{InvalidGlob, NotSelected, Selector};

/// A policy that is in force.
#[derive(Debug, Clone)]
pub struct ActivePolicy {
    pub policy: Arc<RuntimePolicy>,
    /// When this node first saw the policy: what a duration in `enforceAfter` counts from.
    pub first_seen: Timestamp,
}

/// The policies of one generation, compiled: selectors once a policy, the order of the rules once for all.
///
/// Workloads that the same policies select in the same modes share one rule set.
#[derive(Debug)]
pub struct PolicySet {
    generation: u64,
    policies: Vec<CompiledPolicy>,
    /// In the total order of decisions.
    rules: Vec<Candidate>,
    made: HashMap<Vec<Posture>, Weak<RuleSet>>,
}

/// Why policies cannot be in force together. Parsed policies of different names never give these.
#[derive(Debug, thiserror::Error)]
pub enum PolicySetError {
    #[error("two policies are named `{0}`; rename one of them")]
    DuplicateName(String),
    #[error("policy `{policy}`: {source}")]
    Glob { policy: String, source: InvalidGlob },
    #[error("policy `{policy}`: {source}")]
    EnforceAfter { policy: String, source: EnforceAfterError },
    #[error("policy `{policy}`, rule `{rule}`: a rule has exactly one matcher; validate the policy first")]
    Matcher { policy: String, rule: String },
    #[error("policy `{policy}`, rule `{rule}` cannot be written out: {source}")]
    Serialise { policy: String, rule: String, source: Box<serde_saphyr::SerializeError> },
}

#[derive(Debug)]
struct CompiledPolicy {
    name: Arc<str>,
    selector: Selector,
    /// From when on the policy is enforced; never in audit mode.
    enforced_from: Option<Timestamp>,
}

#[derive(Debug)]
struct Candidate {
    /// Index of its policy.
    policy: usize,
    /// As in audit mode.
    rule: EffectiveRule,
    digest: [u8; 32],
}

/// What a policy is to a workload at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Posture {
    NotSelected,
    Audited,
    Enforced,
}

impl PolicySet {
    /// `generation` must be higher than that of any set before, also of one made again because
    /// [`next_change`](PolicySet::next_change) has come.
    pub fn new(
        policies: impl IntoIterator<Item = ActivePolicy>,
        generation: u64,
    ) -> Result<PolicySet, PolicySetError> {
        let mut set = PolicySet { generation, policies: Vec::new(), rules: Vec::new(), made: HashMap::new() };
        let mut names = HashSet::new();
        for ActivePolicy { policy, first_seen } in policies {
            let name: Arc<str> = policy.metadata.name.as_str().into();
            if !names.insert(Arc::clone(&name)) {
                return Err(PolicySetError::DuplicateName(name.to_string()));
            }
            for rule in &policy.spec.rules {
                set.rules.push(Candidate::new(set.policies.len(), &name, rule)?);
            }
            set.policies.push(CompiledPolicy::new(name, &policy, first_seen)?);
        }
        set.rules.sort_unstable_by(|a, b| a.rule.decision_order(&b.rule));
        Ok(set)
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The rules that hold for a workload at an instant.
    pub fn rule_set(&mut self, workload: &Workload, now: Timestamp) -> Arc<RuleSet> {
        let postures: Vec<Posture> =
            self.policies.iter().map(|policy| policy.posture(workload, now)).collect();
        if let Some(made) = self.made.get(&postures).and_then(Weak::upgrade) {
            return made;
        }
        let made = Arc::new(self.build(&postures));
        self.made.retain(|_, made| made.strong_count() > 0);
        self.made.insert(postures, Arc::downgrade(&made));
        made
    }

    /// Each policy by name, and whether it is for the workload or why not.
    pub fn selection<'s>(
        &'s self,
        workload: &'s Workload,
    ) -> impl Iterator<Item = (&'s str, Result<(), NotSelected>)> {
        self.policies.iter().map(|policy| (&*policy.name, policy.selector.selects(workload)))
    }

    /// The next instant after `now` at which a policy goes from audited to enforced.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.policies.iter().filter_map(|policy| policy.enforced_from).filter(|from| *from > now).min()
    }

    fn build(&self, postures: &[Posture]) -> RuleSet {
        let mut hasher = Sha256::new();
        let mut rules = Vec::new();
        for candidate in &self.rules {
            let enforced = match postures.get(candidate.policy) {
                Some(Posture::Enforced) => true,
                Some(Posture::Audited) => false,
                Some(Posture::NotSelected) | None => continue,
            };
            hasher.update([u8::from(enforced)]);
            hasher.update(candidate.digest);
            rules.push(EffectiveRule { enforced, ..candidate.rule.clone() });
        }
        let hash = hasher.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        RuleSet { generation: self.generation, hash, rules }
    }
}

impl CompiledPolicy {
    fn new(name: Arc<str>, policy: &RuntimePolicy, first_seen: Timestamp) -> Result<Self, PolicySetError> {
        let selector = Selector::new(&policy.spec)
            .map_err(|source| PolicySetError::Glob { policy: name.to_string(), source })?;
        let enforced_from = match (policy.spec.mode, &policy.spec.enforce_after) {
            (Mode::Audit, _) => None,
            (Mode::Enforce, None) => Some(Timestamp::MIN),
            (Mode::Enforce, Some(after)) => {
                let after: EnforceAfter = after
                    .parse()
                    .map_err(|source| PolicySetError::EnforceAfter { policy: name.to_string(), source })?;
                Some(after.instant(first_seen))
            }
        };
        Ok(CompiledPolicy { name, selector, enforced_from })
    }

    fn posture(&self, workload: &Workload, now: Timestamp) -> Posture {
        match (self.selector.selects(workload), self.enforced_from) {
            (Err(_), _) => Posture::NotSelected,
            (Ok(()), Some(from)) if from <= now => Posture::Enforced,
            (Ok(()), _) => Posture::Audited,
        }
    }
}

impl Candidate {
    fn new(policy: usize, policy_name: &Arc<str>, rule: &Rule) -> Result<Candidate, PolicySetError> {
        let matcher = matcher(rule).ok_or_else(|| PolicySetError::Matcher {
            policy: policy_name.to_string(),
            rule: rule.name.clone(),
        })?;
        // The rule as it would stand in a file is its canonical form: fields in the model's order, defaults
        // left out.
        let text = serde_saphyr::to_string(rule).map_err(|source| PolicySetError::Serialise {
            policy: policy_name.to_string(),
            rule: rule.name.clone(),
            source: Box::new(source),
        })?;
        let mut hasher = Sha256::new();
        hasher.update(policy_name.as_bytes());
        hasher.update([0]);
        hasher.update(text.as_bytes());
        Ok(Candidate {
            policy,
            rule: EffectiveRule {
                policy: Arc::clone(policy_name),
                rule: rule.name.as_str().into(),
                severity: rule.severity,
                action: rule.action,
                enforced: false,
                matcher,
            },
            digest: hasher.finalize().into(),
        })
    }
}

/// The rule's matcher, where it has exactly one.
fn matcher(rule: &Rule) -> Option<Matcher> {
    let mut matchers = [
        rule.process.clone().map(|matcher| Matcher::Process(Arc::new(matcher))),
        rule.file.clone().map(|matcher| Matcher::File(Arc::new(matcher))),
        rule.network.clone().map(|matcher| Matcher::Network(Arc::new(matcher))),
        rule.syscalls.clone().map(|names| Matcher::Syscalls(names.into())),
        rule.capabilities.clone().map(|names| Matcher::Capabilities(names.into())),
        rule.drift.clone().map(|matcher| Matcher::Drift(Arc::new(matcher))),
    ]
    .into_iter()
    .flatten();
    let matcher = matchers.next()?;
    matchers.next().is_none().then_some(matcher)
}
