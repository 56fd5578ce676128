//! What the evaluator says.

use crate::rule_set::{EffectiveRule, RuleSet};

/// The decision on one activity: what is enforced, and what audit mode would have done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision<'a> {
    pub generation: u64,
    pub enforced: Verdict<'a>,
    pub audited: Verdict<'a>,
}

/// The first rule in the total order that matches, if any does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict<'a> {
    /// No rule speaks: allowed.
    NoMatch,
    Match {
        /// Index in [`RuleSet::rules`].
        index: usize,
        rule: &'a EffectiveRule,
    },
    /// A rule that needs the arguments may outrank what is known; only with `Exec::arguments: None`.
    NeedsArguments,
}

impl<'a> Verdict<'a> {
    /// The rule that matched.
    pub fn rule(self) -> Option<&'a EffectiveRule> {
        match self {
            Verdict::Match { rule, .. } => Some(rule),
            Verdict::NoMatch | Verdict::NeedsArguments => None,
        }
    }
}

impl RuleSet {
    /// The verdict that names the rule at `index`.
    pub fn verdict(&self, index: usize) -> Verdict<'_> {
        self.rules.get(index).map_or(Verdict::NoMatch, |rule| Verdict::Match { index, rule })
    }
}
