//! The right to work for a notifier, kept by signs of life.

use std::time::Duration;

use moat_store::{LeaseSign, Store, StoreError};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::status::Shared;

/// Held by one replica at a time. Work is done inside [`Lease::hold`], which ends it before another replica begins.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    notifier: String,
    owner: String,
    term: Duration,
    status: Shared,
    cursor: i64,
    renew_at: Instant,
    /// After which another replica may have it.
    held_until: Instant,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("another replica works for the notifier")]
    Lost,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Lease {
    /// Waits until the lease is free, or its owner has been silent for one and a half terms.
    pub async fn take(
        store: &Store,
        notifier: &str,
        owner: &str,
        term: Duration,
    ) -> Result<Lease, LeaseError> {
        let mut watched: Option<(LeaseSign, Instant)> = None;
        loop {
            let sign = store.notifier_lease(notifier).await?;
            let now = Instant::now();
            let since = match &watched {
                Some((seen, since)) if *seen == sign => *since,
                _ => now,
            };
            let silent = now.duration_since(since) > term.mul_f64(1.5);
            let free = sign.owner.as_deref().is_none_or(|holder| holder == owner);
            if (free || silent) && store.take_notifier(notifier, owner, &sign).await? {
                // Read only now: the replica before may have moved on until a moment ago.
                let kept = store.notifier(notifier).await?;
                return Ok(Lease {
                    store: store.clone(),
                    notifier: notifier.to_owned(),
                    owner: owner.to_owned(),
                    term,
                    status: Shared::new(&kept.status),
                    cursor: kept.cursor,
                    renew_at: now + term / 3,
                    held_until: now + term,
                });
            }
            watched = Some((sign, since));
            sleep(term / 4).await;
        }
    }

    /// Does the work, with signs of life meanwhile. The work is dropped once the lease cannot be kept.
    pub async fn hold<T>(&mut self, work: impl Future<Output = T>) -> Result<T, LeaseError> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = sleep_until(self.renew_at) => self.tell().await?,
            }
        }
    }

    pub fn status(&self) -> &Shared {
        &self.status
    }

    /// The notifier's place among the events.
    pub fn cursor(&self) -> i64 {
        self.cursor
    }

    /// When the next sign of life is due.
    pub fn renew_at(&self) -> Instant {
        self.renew_at
    }

    /// A sign of life, with the status.
    pub async fn tell(&mut self) -> Result<(), LeaseError> {
        let begun = Instant::now();
        let status = self.status.json();
        let renewed = self.store.renew_notifier(&self.notifier, &self.owner, &status);
        match timeout_at(self.held_until, renewed).await {
            Ok(Ok(true)) => {
                self.renew_at = begun + self.term / 3;
                self.held_until = begun + self.term;
                Ok(())
            }
            Ok(Ok(false)) | Err(_) => Err(LeaseError::Lost),
            // The store is away: try again while there is time.
            Ok(Err(_)) if begun < self.held_until => {
                self.renew_at = begun + self.term / 10;
                Ok(())
            }
            Ok(Err(error)) => Err(error.into()),
        }
    }

    /// Moves the notifier's place; refused once the lease is lost.
    pub async fn advance(&mut self, cursor: i64) -> Result<(), LeaseError> {
        let begun = Instant::now();
        let status = self.status.json();
        self.store.advance_notifier(&self.notifier, &self.owner, cursor, &status).await?;
        self.cursor = cursor;
        self.renew_at = begun + self.term / 3;
        self.held_until = begun + self.term;
        Ok(())
    }
}
