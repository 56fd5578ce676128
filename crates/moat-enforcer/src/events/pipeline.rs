//! The thread between the drivers and the journal.
//!
//! It sleeps until a record comes or a window of the aggregator ends, and never waits for anything after
//! it, so that the drivers' queue is drained as fast as records can be looked at. It ends when every
//! driver's [`Sink`](moat_kernel::Sink) is gone, after it has passed on what was counted.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;
use std::{io, iter};

use jiff::Timestamp;
use moat_event::{Event, Severity};
use moat_kernel::Record;
use moat_policy::model::RuleAction;
use tokio::sync::mpsc;

use super::aggregate::{Aggregator, Group};
use super::enrich::{Context, Enriched, enrich};
use super::reason::Reasons;
use super::{Directory, Journal};
use crate::response;

/// Records that wait for the pipeline; at most a few milliseconds' worth of the fastest flood.
pub const QUEUE: usize = 16 * 1024;

/// What the pipeline works with.
#[derive(Debug)]
pub struct Pipeline {
    pub directory: Arc<Directory>,
    pub journal: Arc<Journal>,
    pub responses: mpsc::Sender<response::Request>,
}

impl Pipeline {
    pub fn start(self, queue: Receiver<Record>) -> io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name(String::from("moat-events")).spawn(move || self.run(&queue))
    }

    fn run(&self, queue: &Receiver<Record>) {
        let mut aggregator = Aggregator::default();
        let mut reasons = Reasons::default();
        loop {
            let received = match aggregator.next_window_end() {
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(ends) => queue.recv_timeout(ends.saturating_duration_since(Instant::now())),
            };
            let first = match received {
                Ok(record) => Some(record),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let now = Instant::now();
            // Everything that is here already has the same `now`.
            for record in first.into_iter().chain(iter::from_fn(|| queue.try_recv().ok())).take(QUEUE) {
                if let Some(group) = aggregator.offer(record, now) {
                    self.publish(&group, &mut reasons);
                }
            }
            for group in aggregator.close_windows(now) {
                self.publish(&group, &mut reasons);
            }
        }
        for group in aggregator.flush() {
            self.publish(&group, &mut reasons);
        }
    }

    fn publish(&self, group: &Group, reasons: &mut Reasons) {
        let record = &group.record;
        let resident = self.directory.resident(record.cgroup);
        let rules = self.directory.rules(record.cgroup, record.generation);
        let context = Context {
            node: self.journal.node(),
            container: resident.as_ref().map(|resident| &*resident.container),
            rules: rules.as_deref(),
            now: Timestamp::now(),
        };
        for Enriched { event, response } in enrich(group, &context, reasons) {
            let request = response.map(|action| (action, event.clone()));
            self.journal.publish(event);
            if let Some((action, event)) = request {
                self.respond(record.cgroup, action, event);
            }
        }
    }

    fn respond(&self, cgroup: u64, action: RuleAction, event: Event) {
        let policy = event.policy_name.clone().unwrap_or_default();
        if self.responses.try_send(response::Request { cgroup, action, event }).is_err() {
            let message = format!(
                "The response {action:?} of policy {policy} was not carried out: too many responses wait already."
            );
            self.journal.system(Severity::Critical, message);
        }
    }
}

#[cfg(test)]
mod tests;
