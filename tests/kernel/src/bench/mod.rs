//! The host's side: from a kernel series and names of cases to verdicts.

mod guest;
pub mod image;
mod initramfs;
mod kernel;
mod run;

use std::path::{Path, PathBuf};

pub use run::{Run, shell};

/// The kernel series that the suites run on, of which the newest release is taken.
pub const SERIES: [&str; 2] = ["6.1", "6.12"];

/// Where kernels, compiled programs and logs are kept: `MOAT_CACHE`, else a folder in cargo's one for tests' files.
pub fn cache(target: &Path) -> PathBuf {
    std::env::var_os("MOAT_CACHE").map_or_else(|| target.join("kernel"), PathBuf::from)
}

/// Why nothing can be said about a case here: something that this machine lacks.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// A program of the host that cannot be started: [`Missing`] where there is none.
fn cannot_start(program: &str, error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Missing(format!("no {program}; `make setup` installs it")).into(),
        _ => anyhow::Error::new(error).context(format!("cannot start {program}")),
    }
}
