//! The host's side: from a kernel series and names of cases to verdicts.

mod guest;
mod image;
mod initramfs;
mod kernel;
mod run;

pub use run::{Run, shell};

/// The kernel series that the suites run on, of which the newest release is taken.
pub const SERIES: [&str; 2] = ["6.1", "6.12"];

/// Why nothing can be said about a case here: something that this machine lacks.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);
