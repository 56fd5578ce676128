//! The containers of this node and the rules in force for each.
//!
//! ```text
//! runtimes ─▶ changes ─┐
//! policies ────────────┼─▶ Manager (one task, all state) ─▶ Enforcement (one thread, the driver)
//! kernel ─▶ held ──────┘                                 ◀─ what became of it
//! ```

pub mod enforcement;
pub mod filters;
mod inventory;
mod manager;
mod report;
mod scope;

pub use manager::{Inputs, Manager};
pub use report::{Explanations, Query, Setting, holding};
