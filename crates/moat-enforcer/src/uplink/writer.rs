//! The thread that writes events into the spool: a disk may take its time, and the journal never waits.

use std::sync::mpsc::Receiver;
use std::sync::{Arc, Weak};
use std::{io, iter, thread};

use moat_wire::gateway::MAX_EVENT;

use super::shared::Shared;
use crate::events::Journal;
use crate::events::journal::Entry;

/// Events that wait for the disk.
pub const QUEUE: usize = 8192;
/// Most events that are written at once.
const BATCH: usize = 512;

/// Ends when the journal, which has the queue's other end, is gone.
pub fn start(
    queue: Receiver<Arc<Entry>>,
    spool: Shared,
    journal: Weak<Journal>,
) -> io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name(String::from("moat-spool")).spawn(move || {
        let lost = |events| {
            if let (1.., Some(journal)) = (events, journal.upgrade()) {
                journal.spool_lost(events);
            }
        };
        let mut healthy = true;
        while let Ok(first) = queue.recv() {
            let batch: Vec<_> = iter::once(first).chain(queue.try_iter()).take(BATCH).collect();
            let (fitting, too_long): (Vec<_>, Vec<_>) =
                batch.iter().partition(|entry| entry.line.len() <= MAX_EVENT);
            let count = |entries: &[&Arc<Entry>]| entries.iter().map(|entry| entry.event.count).sum();
            lost(count(&too_long));
            match spool.append(fitting.iter().map(|entry| entry.line.as_bytes())) {
                Ok(given_up) => {
                    lost(given_up);
                    healthy = true;
                }
                Err(error) => {
                    lost(count(&fitting));
                    if healthy {
                        tracing::error!(%error, "events for the console cannot be kept, they are lost until that changes");
                        healthy = false;
                    }
                }
            }
        }
    })
}
