//! Matchers ready to match: expressions compiled, networks parsed, user names resolved.
//!
//! A [`RuleSet`](crate::RuleSet) stays plain data; [`Evaluator`](crate::Evaluator) and
//! [`RuleIndex`](crate::RuleIndex) hold one of these for each of its rules.

mod executables;
mod file;
mod network;
mod process;
mod program;
mod reason;
mod subjects;

pub(crate) use executables::{Entry, Executables, base_name};
pub(crate) use file::FileMatcher;
pub(crate) use network::NetworkMatcher;
pub(crate) use process::{DriftMatcher, ProcessMatcher};
pub(crate) use program::{Applet, Program};
pub(crate) use subjects::Subjects;

use std::ops::Not;

use crate::activity::Activity;
use crate::glob::GlobError;
use crate::pattern::PatternError;
use crate::rule_set::{self, EffectiveRule};
use crate::users::Users;

/// One rule's matcher.
#[derive(Debug, Clone)]
pub(crate) enum Matcher {
    Process(ProcessMatcher),
    File(FileMatcher),
    Network(NetworkMatcher),
    Syscalls(Vec<String>),
    Capabilities(Vec<String>),
    Drift(DriftMatcher),
}

/// Whether a rule matches. Ordered so that `min` is "and" and `max` is "or".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    No,
    /// The arguments decide, and they are not known.
    NeedsArguments,
    Yes,
}

impl Not for Outcome {
    type Output = Outcome;

    fn not(self) -> Outcome {
        match self {
            Outcome::No => Outcome::Yes,
            Outcome::NeedsArguments => Outcome::NeedsArguments,
            Outcome::Yes => Outcome::No,
        }
    }
}

impl From<bool> for Outcome {
    fn from(matches: bool) -> Outcome {
        if matches { Outcome::Yes } else { Outcome::No }
    }
}

/// A rule that cannot be made ready; validation refuses the same, so that this names a rule made by hand.
#[derive(Debug, thiserror::Error)]
#[error("rule {rule} of policy {policy}: {cause}")]
pub struct CompileError {
    pub policy: String,
    pub rule: String,
    #[source]
    pub cause: MatcherError,
}

#[derive(Debug, thiserror::Error)]
pub enum MatcherError {
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Glob(#[from] GlobError),
    #[error("`{}` is not a network; write `10.0.0.0/8` or `2001:db8::/32`", .0.escape_debug())]
    Network(String),
    #[error("`{}` is not a port; write `443` or `1-1024`", .0.escape_debug())]
    Port(String),
}

impl Matcher {
    pub(crate) fn new(rule: &EffectiveRule, users: &Users) -> Result<Matcher, CompileError> {
        let matcher = match &rule.matcher {
            rule_set::Matcher::Process(process) => ProcessMatcher::new(process, users).map(Matcher::Process),
            rule_set::Matcher::File(file) => FileMatcher::new(file, users).map(Matcher::File),
            rule_set::Matcher::Network(network) => NetworkMatcher::new(network).map(Matcher::Network),
            rule_set::Matcher::Syscalls(names) => Ok(Matcher::Syscalls(names.to_vec())),
            rule_set::Matcher::Capabilities(names) => Ok(Matcher::Capabilities(names.to_vec())),
            rule_set::Matcher::Drift(drift) => DriftMatcher::new(drift).map(Matcher::Drift),
        };
        matcher.map_err(|cause| CompileError {
            policy: rule.policy.to_string(),
            rule: rule.rule.to_string(),
            cause,
        })
    }

    pub(crate) fn matches(&self, activity: &Activity<'_>) -> Outcome {
        match (self, activity) {
            (Matcher::Process(process), Activity::Exec(exec)) => process.matches(exec),
            (Matcher::Drift(drift), Activity::Exec(exec)) => drift.matches(exec),
            (Matcher::File(file), Activity::File(access)) => file.matches(access).into(),
            (Matcher::Network(network), Activity::Connect(connect)) => network.matches(connect).into(),
            (Matcher::Syscalls(names), Activity::Syscall(name))
            | (Matcher::Capabilities(names), Activity::Capability(name)) => {
                names.iter().any(|listed| listed == name).into()
            }
            _ => Outcome::No,
        }
    }

    /// User names in the rule that the container does not know: they match nobody.
    pub(crate) fn unresolved_users(&self) -> Vec<&str> {
        match self {
            Matcher::Process(process) => process.users.unresolved().collect(),
            Matcher::File(file) => file.unresolved_users().collect(),
            Matcher::Network(_) | Matcher::Syscalls(_) | Matcher::Capabilities(_) | Matcher::Drift(_) => {
                Vec::new()
            }
        }
    }
}
