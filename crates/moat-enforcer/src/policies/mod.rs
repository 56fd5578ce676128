//! The policies of this node: files in a folder, watched.
//!
//! [`Watcher`] owns the folder's state and publishes a [`Policies`] whenever its meaning changes; the manager
//! takes the newest. A file that is refused leaves its last good content in force.

mod first_seen;
mod folder;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use moat_policy::RuntimePolicy;
use moat_policy::model::CompliancePolicy;
use tokio::sync::watch::Receiver;

pub use watch::{WatchError, Watcher};

/// Policies that a console gives this node. One of the node's own folder that has the same name is in force
/// instead.
#[derive(Debug)]
pub struct FromConsole {
    /// Where they are kept, a file each.
    pub folder: PathBuf,
    /// Changes when the files have.
    pub set: Receiver<Arc<ConsoleSet>>,
}

/// A version of the console's policy set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsoleSet {
    /// 0 where the console has given none yet.
    pub set: i64,
    /// Since when the console has had each policy.
    pub since: BTreeMap<String, Timestamp>,
}

/// All policies of one generation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policies {
    /// Grows with every change of what follows, and when a policy goes from audited to enforced.
    pub generation: u64,
    /// The console's policy set that is part of it.
    pub console_set: i64,
    /// How many policies have reached the instant of their `enforceAfter`.
    pub enforced: usize,
    /// In the order of their names, which are unique.
    pub runtime: Vec<Loaded<RuntimePolicy>>,
    pub compliance: Vec<Loaded<CompliancePolicy>>,
    /// What is wrong with the folder, in the order of the files' names.
    pub refused: Vec<Refused>,
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded<P> {
    pub policy: Arc<P>,
    pub file: PathBuf,
    /// When this node, or the console that it comes from, first had a policy of that name.
    pub first_seen: Timestamp,
}

/// A file, or one policy in it, that is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub file: PathBuf,
    /// Set where only this policy of the file is refused.
    pub policy: Option<String>,
    /// File, line, what is wrong and what to do.
    pub diagnostic: String,
}

/// The source of generation numbers: each is given out once.
#[derive(Debug, Default)]
pub struct Generations(AtomicU64);

impl Generations {
    /// Counts on from what an agent before this one has put in force.
    pub fn after(last: u64) -> Generations {
        Generations(AtomicU64::new(last))
    }

    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}
