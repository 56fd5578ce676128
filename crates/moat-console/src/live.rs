//! New events, for whoever listens: read from the store once, then shared.

use std::io;
use std::sync::Arc;

use moat_store::{Change, Store, StoredEvent, Watch};
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Events that a slow listener may be behind; then it misses some, and is told how many.
const QUEUE: usize = 4096;
const MAX_LISTENERS: usize = 1000;
/// Largest event, as JSON, that is handed on; larger ones are there to be read. So a queue holds 64 MiB at most, whatever
/// nodes send.
const LARGEST: u64 = 16 << 10;
/// Events that are read at a time.
const BATCH: usize = 256;

/// What listeners get.
#[derive(Debug, Clone)]
pub enum News {
    Event(Arc<StoredEvent>),
    /// An event that is too large, by its number.
    Large(i64),
}

impl From<StoredEvent> for News {
    fn from(event: StoredEvent) -> News {
        let mut size = Size(0);
        match serde_json::to_writer(&mut size, &event.event) {
            Ok(()) if size.0 <= LARGEST => News::Event(Arc::new(event)),
            _ => News::Large(event.seq),
        }
    }
}

/// Counts what is written.
struct Size(u64);

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
pub struct Live {
    sender: Sender<News>,
    places: Arc<Semaphore>,
    metrics: Metrics,
}

/// A listener's place.
#[derive(Debug)]
pub struct Listening {
    sender: Sender<News>,
    metrics: Metrics,
    _place: OwnedSemaphorePermit,
}

impl Listening {
    /// Events from now on.
    pub fn events(&self) -> Receiver<News> {
        self.sender.subscribe()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.metrics.streams.dec();
    }
}

impl Live {
    pub fn new(metrics: Metrics) -> Live {
        Live { sender: broadcast::channel(QUEUE).0, places: Arc::new(Semaphore::new(MAX_LISTENERS)), metrics }
    }

    /// `None` where too many listen already.
    pub fn listen(&self) -> Option<Listening> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        self.metrics.streams.inc();
        Some(Listening { sender: self.sender.clone(), metrics: self.metrics.clone(), _place: place })
    }

    /// Hands on events after `seen` until `cancel`.
    pub async fn run(&self, store: &Store, mut watch: Watch, mut seen: i64, cancel: &CancellationToken) {
        loop {
            let changes = tokio::select! {
                () = cancel.cancelled() => return,
                changes = watch.changed() => changes,
            };
            let Some(changes) = changes else { return };
            for change in changes {
                if let Change::Events { up_to } = change {
                    seen = self.hand_on(store, seen, up_to).await;
                }
            }
        }
    }

    /// Returns up to where events are handed on.
    async fn hand_on(&self, store: &Store, mut seen: i64, up_to: i64) -> i64 {
        // Who begins to listen reads from the store what is there already: where nobody listens, nothing is missed.
        while seen < up_to && self.sender.receiver_count() > 0 {
            match store.events_after(seen, BATCH).await {
                Ok(events) => {
                    let Some(last) = events.last() else { break };
                    seen = last.seq;
                    for event in events {
                        // Fails when the last listener has gone meanwhile.
                        let _ = self.sender.send(event.into());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "new events cannot be read for live streams; tried again with the next");
                    return seen;
                }
            }
        }
        seen.max(up_to)
    }
}
