//! The policy core: what people write, what it means, and what it decides.
//!
//! ```text
//! YAML ─▶ parse ─▶ RuntimePolicy ─▶ validate ─▶ select(workload) ─▶ RuleSet ─▶ decide(activity)
//!                                                                      └─▶ compiled for a kernel (moat-kernel)
//! ```
//!
//! Pure: no clock, no files, no sockets. [`decide`] is the reference that every driver must agree with.
#![forbid(unsafe_code)]

pub mod activity;
mod applet;
mod argv;
mod attempt;
pub mod automaton;
pub mod capabilities;
mod compiled;
pub mod decide;
pub mod decision;
mod diagnostic;
pub mod enforce_after;
pub mod escape;
pub mod glob;
pub mod index;
pub mod message;
pub mod model;
mod parse;
pub mod pattern;
pub mod policy_set;
pub mod ports;
pub mod rule_set;
mod schedule;
pub mod select;
pub mod simulate;
mod suggest;
pub mod syscalls;
pub mod users;
pub mod validate;

pub use activity::Activity;
pub use applet::{MULTICALL, applet, is_multicall};
pub use argv::{arguments, argv};
pub use attempt::Attempt;
pub use automaton::{Automaton, AutomatonError};
pub use compiled::{CompileError, MatcherError};
pub use decide::{Evaluator, decide};
pub use decision::{Decision, Verdict};
pub use diagnostic::{Diagnostic, render};
pub use index::RuleIndex;
pub use message::message;
pub use model::RuntimePolicy;
pub use parse::{Document, MAX_FILE_BYTES, parse};
pub use policy_set::{ActivePolicy, PolicySet};
pub use rule_set::{EffectiveRule, RuleSet};
pub use users::Users;

/// Longest path in a policy, in bytes: what the kernel's keys hold.
pub const MAX_PATH_BYTES: usize = 240;
