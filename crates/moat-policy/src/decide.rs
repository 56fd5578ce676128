//! The reference evaluator: linear, and obviously right. Every driver must agree with it.
//!
//! The rules stand in their total order (see [`RuleSet`]), so the first one that matches decides, separately
//! for the enforced and for the audited ones.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::activity::Activity;
use crate::compiled::{CompileError, Matcher, Outcome};
use crate::decision::{Decision, Verdict};
use crate::rule_set::RuleSet;
use crate::users::Users;

/// A rule set with its matchers compiled.
#[derive(Debug, Clone)]
pub struct Evaluator {
    rules: Arc<RuleSet>,
    matchers: Vec<Matcher>,
}

impl Evaluator {
    /// For a container with these users.
    pub fn new(rules: Arc<RuleSet>, users: &Users) -> Result<Evaluator, CompileError> {
        let matchers = compile(&rules, users)?;
        Ok(Evaluator { rules, matchers })
    }

    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    pub fn decide(&self, activity: &Activity<'_>) -> Decision<'_> {
        evaluate(&self.rules, &self.matchers, activity)
    }

    /// User names in rules that the container's passwd(5) lacks. They match nobody: where this is not empty,
    /// the rules do not hold as written.
    pub fn unresolved_users(&self) -> BTreeSet<&str> {
        self.matchers.iter().flat_map(Matcher::unresolved_users).collect()
    }

    /// One sentence: why the rule at `index` matches `activity`; empty where it does not.
    pub fn reason(&self, index: usize, activity: &Activity<'_>) -> String {
        self.matchers.get(index).map(|matcher| matcher.reason(activity)).unwrap_or_default()
    }
}

/// Decides once. Compiles every matcher on the way: to decide often, keep an [`Evaluator`] or a
/// [`RuleIndex`](crate::RuleIndex).
pub fn decide<'a>(
    rules: &'a RuleSet,
    users: &Users,
    activity: &Activity<'_>,
) -> Result<Decision<'a>, CompileError> {
    Ok(evaluate(rules, &compile(rules, users)?, activity))
}

pub(crate) fn compile(rules: &RuleSet, users: &Users) -> Result<Vec<Matcher>, CompileError> {
    rules.rules.iter().map(|rule| Matcher::new(rule, users)).collect()
}

fn evaluate<'a>(rules: &'a RuleSet, matchers: &[Matcher], activity: &Activity<'_>) -> Decision<'a> {
    let first_match = |enforced: bool| {
        rules
            .rules
            .iter()
            .zip(matchers)
            .enumerate()
            .filter(|(_, (rule, _))| rule.enforced == enforced)
            .find_map(|(index, (_, matcher))| match matcher.matches(activity) {
                Outcome::No => None,
                Outcome::Yes => Some(rules.verdict(index)),
                Outcome::NeedsArguments => Some(Verdict::NeedsArguments),
            })
            .unwrap_or(Verdict::NoMatch)
    };
    Decision { generation: rules.generation, enforced: first_match(true), audited: first_match(false) }
}

#[cfg(test)]
mod tests;
