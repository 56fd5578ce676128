//! The spool between its writer, a thread, and the session, tasks that must not block.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moat_wire::gateway::SpoolStatus;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use super::spool::{Batch, Position, Spool};

#[derive(Debug, Clone)]
pub struct Shared {
    spool: Arc<Mutex<Spool>>,
    /// Counts what was appended.
    appended: watch::Sender<u64>,
}

impl Shared {
    pub fn new(spool: Spool) -> Shared {
        Shared { spool: Arc::new(Mutex::new(spool)), appended: watch::Sender::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks. Returns how many older events were given up.
    pub fn append<'a>(&self, events: impl Iterator<Item = &'a [u8]>) -> io::Result<u64> {
        let appended = self.lock().append(events);
        self.appended.send_modify(|count| *count += 1);
        appended
    }

    /// Changes when there is more to read.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    pub async fn start(&self) -> io::Result<Position> {
        self.blocking(|spool| Ok(spool.start())).await
    }

    /// As [`Spool::read`]; what cannot be read is skipped, and its number comes back.
    pub async fn read(
        &self,
        mut position: Position,
        limit: usize,
    ) -> io::Result<(Position, Result<Option<Batch>, u64>)> {
        self.blocking(move |spool| {
            let read = spool.read(&mut position, limit).map_err(|error| {
                tracing::error!(%error, "events of the spool are given up");
                spool.skip(&mut position)
            });
            Ok((position, read))
        })
        .await
    }

    pub async fn stored(&self, sequence: u64) -> io::Result<()> {
        self.blocking(move |spool| spool.stored(sequence)).await
    }

    pub async fn status(&self) -> io::Result<SpoolStatus> {
        self.blocking(|spool| Ok(spool.status())).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let shared = self.clone();
        spawn_blocking(move || work(&mut shared.lock())).await?
    }
}
