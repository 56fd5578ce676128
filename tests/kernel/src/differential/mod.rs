//! The differential test: generated rule sets and actions, and whether a driver makes of them what the reference
//! evaluator does.
//!
//! [`rules`] and [`action`] choose, over the small [`world`] that every image has; processes in a container carry the
//! actions out ([`actors`], `image/programs/act.c`); [`expected`] says what the driver is to make of them, and [`run`]
//! compares: how each act ended, and what was recorded of it. The suite `differential` does that in guests under the
//! lsm driver, `tests/differential.rs` on the machine itself under the guard.

pub mod action;
pub mod actors;
mod change;
mod choice;
pub mod expected;
pub mod rules;
pub mod run;
pub mod world;

pub use action::Kind;
pub use actors::Actors;
pub use expected::By;
pub use run::{Plan, Site, run};
