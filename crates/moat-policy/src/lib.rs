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
mod compiled;
pub mod decide;
pub mod decision;
pub mod escape;
pub mod glob;
pub mod message;
pub mod model;
pub mod pattern;
pub mod rule_set;
pub mod users;

pub use activity::Activity;
pub use compiled::{CompileError, MatcherError};
pub use decide::{Evaluator, decide};
pub use decision::{Decision, Verdict};
pub use message::message;
pub use model::RuntimePolicy;
pub use rule_set::{EffectiveRule, RuleSet};
pub use users::Users;
