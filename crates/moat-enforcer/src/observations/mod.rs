//! What containers do, whether or not a rule speaks of it, summed up for the console's inventory.
//!
//! ```text
//! driver ─▶ Observation ─▶ thread: who did it ─▶ Table ─▶ uplink, every few seconds
//! ```
//!
//! It is no record of what happened when, as events are, and is kept in memory only: while the console is away it is summed
//! up further, in bounded room. What finds none is counted by the [`Journal`].

mod attempt;
mod table;

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use jiff::Timestamp;
use moat_kernel::Observation;

use self::table::{Place, Table};
use crate::events::{Directory, Journal};

/// Observations that wait to be summed up.
pub const QUEUE: usize = 4096;

/// What is summed up and not yet stored by the console.
#[derive(Debug)]
pub struct Observed {
    table: Mutex<Table>,
    journal: Arc<Journal>,
}

impl Observed {
    /// The thread ends when the driver, which has the queue's other end, is gone.
    pub fn start(
        queue: Receiver<Observation>,
        directory: Arc<Directory>,
        journal: Arc<Journal>,
    ) -> io::Result<(thread::JoinHandle<()>, Arc<Observed>)> {
        let observed = Arc::new(Observed { table: Mutex::default(), journal });
        let summing = Arc::clone(&observed);
        let thread = thread::Builder::new().name(String::from("moat-activity")).spawn(move || {
            for seen in queue {
                summing.add(&seen, &directory);
            }
        })?;
        Ok((thread, observed))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, seen: &Observation, directory: &Directory) {
        // Of no container that a runtime knows, or the runtime's own `pause`: no part of a workload.
        let Some(resident) = directory.resident(seen.cgroup).filter(|resident| !resident.container.sandbox)
        else {
            return;
        };
        let Some(attempt) = attempt::of(seen) else { return };
        let place = Place::of(&resident.container.workload);
        let lost = self.table().add(place, attempt, seen.count, Timestamp::now());
        self.journal.observations_lost(lost);
    }

    /// What is to be sent next, about `size` bytes of it at most; nothing where there is nothing. [`Observed::settle`] says what
    /// became of it.
    pub fn next_message(&self, size: usize) -> Vec<Vec<u8>> {
        let (message, lost) = self.table().next_message(size);
        self.journal.observations_lost(lost);
        message
    }

    /// What was sent last is stored, or is summed up again.
    pub fn settle(&self, stored: bool) {
        let lost = self.table().settle(stored);
        self.journal.observations_lost(lost);
    }

    /// What was not sent goes with the agent.
    pub fn end(&self) {
        self.settle(false);
        let unsent = self.table().acts();
        if unsent > 0 {
            tracing::info!(acts = unsent, "what containers did last was not told to the console");
        }
    }
}
