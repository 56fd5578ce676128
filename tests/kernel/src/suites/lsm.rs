//! The LSM driver that suites share, for a kernel on an emulated processor checks its programs for long.

use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::Result;
use moat_kernel::lsm::Lsm;
use moat_kernel::{DriverConfig, Held, Record, Sink};

/// Suites whose cases run in one process, one after the other, and use [`node`].
pub const SUITES: [&str; 4] = ["records", "file", "differential", "bypass"];

/// How long the first case of a process may take, which loads the driver, on a machine that has much else to do.
pub const LOADING: Duration = Duration::from_mins(15);

/// The driver, and what it says.
#[derive(Debug)]
pub struct Node {
    pub driver: Lsm,
    pub records: Receiver<Record>,
    pub held: Receiver<Held>,
    /// Of the last rule set.
    pub generation: u64,
    /// How many there were: each has a name of its own.
    pub containers: usize,
}

/// Loads it for the first case that asks.
pub fn node() -> Result<MutexGuard<'static, Node>> {
    static NODE: OnceLock<Mutex<Node>> = OnceLock::new();
    let node = if let Some(node) = NODE.get() {
        node
    } else {
        let (records_in, records) = mpsc::sync_channel(1 << 14);
        let (held_in, held) = mpsc::sync_channel(64);
        let driver = Lsm::load(&DriverConfig::default(), Sink::new(records_in), held_in)?;
        let node = Node { driver, records, held, generation: 0, containers: 0 };
        NODE.get_or_init(|| Mutex::new(node))
    };
    // A case that failed leaves the driver as it is.
    Ok(node.lock().unwrap_or_else(PoisonError::into_inner))
}
