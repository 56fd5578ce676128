//! The privileged node agent: finds the containers of this node, puts the policies' rules in force for each,
//! and says what happened.
//!
//! ```text
//! policies ─┐
//! runtimes ─┼─▶ containers (which rules for whom) ─▶ moat-kernel's driver ─▶ events ─▶ file, memory, subscribers
//! starts ───┘                                                                  └─▶ response (KillPod, Quarantine)
//! ```
//!
//! [`run`] is the whole of it; the program around it reads flags and waits for signals.
#![forbid(unsafe_code)]

mod agent;
mod config;
mod containers;
mod control;
mod driver;
mod events;
mod observations;
pub mod oci_runtime;
mod policies;
mod response;
pub mod runtime;
mod state;
mod uplink;

pub use agent::{Loaded, RunError, run};
pub use config::Config;
pub use driver::{Choice, load_driver};
pub use events::output::Target;
pub use state::{State, StateError};
