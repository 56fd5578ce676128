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
pub mod decision;
pub mod model;
pub mod rule_set;

pub use activity::Activity;
pub use decision::{Decision, Verdict};
pub use model::RuntimePolicy;
pub use rule_set::{EffectiveRule, RuleSet};
