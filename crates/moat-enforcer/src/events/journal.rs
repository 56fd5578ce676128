//! Where every event ends: kept, written, streamed.
//!
//! Called by the pipeline's thread and by tasks that report about Moat itself. Publishing never waits: what
//! a slow output or subscriber cannot take is counted here, and the count becomes an event of its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use moat_event::{Event, Loss, LossStage, Severity, Workload};
use tokio::sync::broadcast;

use super::history::History;
use super::{line, system};

/// Events that a live subscriber may be behind before it loses some.
const SUBSCRIBER_QUEUE: usize = 2048;

/// An event and its line of JSON.
#[derive(Debug)]
pub struct Entry {
    pub event: Event,
    /// Without the line feed.
    pub line: String,
}

#[derive(Debug)]
pub struct Journal {
    node: String,
    kept: Mutex<History>,
    live: broadcast::Sender<Arc<Entry>>,
    output: SyncSender<Arc<Entry>>,
    /// The queue of the console's spool, where there is a console.
    spool: Option<SyncSender<Arc<Entry>>>,
    published: AtomicU64,
    output_lost: AtomicU64,
    spool_lost: AtomicU64,
    subscriber_lost: AtomicU64,
    observations_lost: AtomicU64,
    reported: Mutex<BTreeMap<LossStage, u64>>,
}

impl Journal {
    /// `output` is the queue of the output thread, `spool` that of the console's spool.
    pub fn new(
        node: String,
        output: SyncSender<Arc<Entry>>,
        spool: Option<SyncSender<Arc<Entry>>>,
    ) -> Journal {
        Journal {
            node,
            kept: Mutex::default(),
            live: broadcast::Sender::new(SUBSCRIBER_QUEUE),
            output,
            spool,
            published: AtomicU64::new(0),
            output_lost: AtomicU64::new(0),
            spool_lost: AtomicU64::new(0),
            subscriber_lost: AtomicU64::new(0),
            observations_lost: AtomicU64::new(0),
            reported: Mutex::default(),
        }
    }

    pub fn node(&self) -> &str {
        &self.node
    }

    pub fn publish(&self, event: Event) {
        let line = match line::json(&event) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, event = event.id, "an event cannot be written as JSON");
                self.output_lost.fetch_add(event.count, Ordering::Relaxed);
                return;
            }
        };
        self.published.fetch_add(1, Ordering::Relaxed);
        let entry = Arc::new(Entry { event, line });
        {
            // Under one lock, so that a subscriber sees each event either as kept or as live.
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push(Arc::clone(&entry));
            // An error says that nobody listens.
            let _ = self.live.send(Arc::clone(&entry));
        }
        if let Some(spool) = &self.spool {
            count_lost(spool.try_send(Arc::clone(&entry)), &self.spool_lost);
        }
        count_lost(self.output.try_send(entry), &self.output_lost);
    }

    /// Publishes an event of type `System` about the node.
    pub fn system(&self, severity: Severity, message: String) {
        self.publish(system::event(&self.node, severity, message));
    }

    /// Publishes an event of type `System` about a container.
    pub fn system_about(&self, workload: &Workload, severity: Severity, message: String) {
        self.publish(system::about(system::event(&self.node, severity, message), workload));
    }

    /// The kept events, oldest first, and everything published after them.
    pub fn subscribe(&self) -> (Vec<Arc<Entry>>, broadcast::Receiver<Arc<Entry>>) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.entries().cloned().collect(), self.live.subscribe())
    }

    /// A subscriber was `events` behind and lost them.
    pub fn subscriber_lost(&self, events: u64) {
        self.subscriber_lost.fetch_add(events, Ordering::Relaxed);
    }

    /// The console's spool gave up `events`.
    pub fn spool_lost(&self, events: u64) {
        self.spool_lost.fetch_add(events, Ordering::Relaxed);
    }

    /// `acts` of containers are not told to the console.
    pub fn observations_lost(&self, acts: u64) {
        self.observations_lost.fetch_add(acts, Ordering::Relaxed);
    }

    /// Events published since the start.
    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// What the journal itself lost since the start.
    fn losses(&self) -> [Loss; 4] {
        let of = |stage, counter: &AtomicU64| Loss { stage, events: counter.load(Ordering::Relaxed) };
        [
            of(LossStage::Subscriber, &self.subscriber_lost),
            of(LossStage::Output, &self.output_lost),
            of(LossStage::Spool, &self.spool_lost),
            of(LossStage::Observation, &self.observations_lost),
        ]
    }

    /// Compares all counters with the last time and publishes an event for each stage that lost more.
    /// `earlier` are the losses before the journal, since the start. Returns all that are not zero.
    pub fn report_losses(&self, earlier: &[Loss]) -> Vec<Loss> {
        let mut totals = BTreeMap::<LossStage, u64>::new();
        for loss in earlier.iter().chain(&self.losses()) {
            *totals.entry(loss.stage).or_default() += loss.events;
        }
        totals.retain(|_, events| *events > 0);
        let grown: Vec<_> = {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            let grown = totals
                .iter()
                .map(|(stage, total)| {
                    (*stage, total.saturating_sub(reported.get(stage).copied().unwrap_or(0)))
                })
                .filter(|(_, more)| *more > 0)
                .collect();
            reported.clone_from(&totals);
            grown
        };
        for (stage, more) in grown {
            self.publish(system::loss(&self.node, stage, more));
        }
        totals.into_iter().map(|(stage, events)| Loss { stage, events }).collect()
    }
}

fn count_lost(sent: Result<(), TrySendError<Arc<Entry>>>, lost: &AtomicU64) {
    if let Err(TrySendError::Full(entry) | TrySendError::Disconnected(entry)) = sent {
        lost.fetch_add(entry.event.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_the_output_cannot_take_is_counted_and_reported_once() {
        let (queue, output) = sync_channel(2);
        let journal = Journal::new(String::from("n"), queue, None);
        for _ in 0..5 {
            journal.system(Severity::Info, String::from("hello"));
        }
        assert_eq!(output.try_iter().count(), 2);
        let ring = Loss { stage: LossStage::RingBuffer, events: 7 };
        let losses = journal.report_losses(std::slice::from_ref(&ring));
        assert_eq!(losses, [ring.clone(), Loss { stage: LossStage::Output, events: 3 }]);
        let messages: Vec<_> = output.try_iter().map(|entry| entry.event.message.clone()).collect();
        assert_eq!(
            messages,
            [
                "7 events were lost in the kernel's ring buffer, which was full.",
                "3 events were lost on the way to the event output, which could not be written in time.",
            ]
        );
        journal.report_losses(&[ring]);
        assert_eq!(output.try_iter().count(), 0, "a loss was reported twice");
    }

    #[test]
    fn a_subscriber_gets_what_was_kept_and_then_what_is_new() {
        let (queue, _output) = sync_channel(16);
        let journal = Journal::new(String::from("n"), queue, None);
        journal.system(Severity::Info, String::from("before"));
        let (kept, mut live) = journal.subscribe();
        journal.system(Severity::Info, String::from("after"));
        assert_eq!(kept.iter().map(|entry| &entry.event.message).collect::<Vec<_>>(), ["before"]);
        assert_eq!(live.try_recv().unwrap().event.message, "after");
    }
}
