//! The kernel edge: rule sets go in, raw records come out.
//!
//! Every driver holds the same rules and must decide as [`moat_policy::decide`] does. Callers see [`Driver`],
//! [`Record`] and [`Capabilities`]; nothing else of the kernel leaves this crate, and no other crate has unsafe code.

pub mod capability;
pub mod driver;
pub mod fanotify;
pub mod guard;
mod leftovers;
pub mod lsm;
pub mod probe;
mod process;
mod programs;
pub mod record;
pub mod scope;
pub mod users;

pub use capability::{Capabilities, Holding};
pub use driver::{ApplyError, Driver, Held, Inherited};
pub use leftovers::leftovers;
pub use probe::probe;
pub use programs::pins::{Instance, last_generation, pinned_profiles, unpin};
pub use programs::{DriverConfig, LoadError, record_bytes};
pub use record::{Act, Observation, Outcome, RawProcess, Record, Sink};
pub use scope::ContainerScope;
