//! The rules that hold for one container, selected and in their total order.

use std::cmp::Ordering;
use std::sync::Arc;

use moat_event::Severity;

use crate::model::{self, RuleAction};

/// All rules for one container.
///
/// `rules` stand in the total order of decisions, strongest first, so that the first match decides:
/// explicit matches before allow-list defaults, then the more severe action, then policy name, then rule
/// name. Enforced and audited rules share the list; each kind is decided on its own, so that a policy in
/// audit mode never weakens one that is enforced.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSet {
    /// Grows with every change of the policies that the set was made from.
    pub generation: u64,
    /// SHA-256 over the rules' meaning, in hexadecimal: equal hashes decide alike.
    pub hash: String,
    pub rules: Vec<EffectiveRule>,
}

/// One rule with what it inherits from its policy.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveRule {
    pub policy: Arc<str>,
    pub rule: Arc<str>,
    pub severity: Severity,
    pub action: RuleAction,
    /// False in audit mode.
    pub enforced: bool,
    pub matcher: Matcher,
}

/// The one matcher of a rule, shared by every container that the policy selects.
#[derive(Debug, Clone, PartialEq)]
pub enum Matcher {
    Process(Arc<model::ProcessMatcher>),
    File(Arc<model::FileMatcher>),
    Network(Arc<model::NetworkMatcher>),
    Syscalls(Arc<[String]>),
    Capabilities(Arc<[String]>),
    Drift(Arc<model::DriftMatcher>),
}

impl EffectiveRule {
    /// Whether this is the default of an allow-list, which yields to every explicit match.
    pub fn is_allow_list(&self) -> bool {
        matches!(&self.matcher, Matcher::Process(matcher) if matcher.allow_only.is_some())
    }

    /// The total order of decisions, strongest first; equal only for one and the same rule.
    pub fn decision_order(&self, other: &EffectiveRule) -> Ordering {
        self.is_allow_list()
            .cmp(&other.is_allow_list())
            .then_with(|| other.action.cmp(&self.action))
            .then_with(|| self.policy.cmp(&other.policy))
            .then_with(|| self.rule.cmp(&other.rule))
    }
}
