//! Kernel records on their way to people: grouped, enriched, kept, written.
//!
//! ```text
//! Record ─▶ pipeline: aggregate ─▶ enrich ─▶ journal ─▶ history (the last ones, in memory)
//!                                                  ├─▶ output (file or stdout)
//!                                                  └─▶ live subscribers
//! ```
//!
//! Nothing on the way blocks the drivers, and every event that is lost is counted by [`Journal`] or the
//! drivers' [`moat_kernel::Sink`].

pub mod aggregate;
pub mod directory;
pub mod enrich;
pub mod history;
pub mod journal;
pub mod line;
pub mod output;
pub mod pipeline;
pub mod reason;
pub mod system;

pub use directory::Directory;
pub use journal::Journal;
