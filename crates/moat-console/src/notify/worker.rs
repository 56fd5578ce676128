//! One notifier at work: reads events from its place on, sends those that pass its filter, and moves its place.

use std::convert::Infallible;

use jiff::Timestamp;
use moat_event::Event;
use moat_store::{Delivery, DeliveryState, Store, StoreError, Watch};
use tokio::time::sleep_until;

use super::deliver::{GivenUp, Pace, deliver};
use super::filter::Filtering;
use super::lease::{Lease, LeaseError};
use super::sink::Sink;
use super::status::{Condition, Shared};

/// Events that are read at once; what of them passes the filter is one batch.
const BATCH: usize = 500;
/// Dead letters that are tried again between two batches.
const RETRIED: usize = 10;

/// What one notifier needs to work.
#[derive(Debug)]
pub struct Worker {
    pub store: Store,
    pub notifier: String,
    pub sink: Sink,
    pub filter: Filtering,
    pub pace: Pace,
    pub status: Shared,
}

impl Worker {
    /// Works until the lease is lost or the store fails.
    pub async fn work(&self, lease: &mut Lease) -> Result<Infallible, LeaseError> {
        let mut changes = self.store.watch();
        loop {
            lease.hold(self.retry_dead_letters()).await??;
            let cursor = lease.cursor();
            let events = lease.hold(self.store.events_after(cursor, BATCH)).await??;
            let Some(last) = events.last().map(|event| event.seq) else {
                self.wait(lease, &mut changes).await?;
                continue;
            };
            if events.first().is_some_and(|first| first.seq > cursor + 1) {
                self.count_missed(cursor).await?;
            }
            let passing: Vec<Event> = events
                .into_iter()
                .map(|stored| stored.event)
                .filter(|event| self.filter.passes(event))
                .collect();
            if !passing.is_empty() {
                lease.hold(self.send(passing, self.pace.clone())).await??;
            }
            lease.advance(last).await?;
        }
    }

    /// Until there may be something to do. Looks at each sign of life too, for news may be lost between replicas.
    async fn wait(&self, lease: &mut Lease, changes: &mut Watch) -> Result<(), LeaseError> {
        let next = lease.renew_at();
        lease
            .hold(async {
                tokio::select! {
                    _ = changes.changed() => {}
                    () = sleep_until(next) => {}
                }
            })
            .await
    }

    /// Sends a batch and puts aside what did not arrive.
    async fn send(&self, events: Vec<Event>, pace: Pace) -> Result<(), StoreError> {
        let sent = events.len();
        let failed = |error: &str| self.status.failed(Condition::Failing, error);
        let given_up = deliver(&self.sink, events, &pace, failed).await;
        let lost = given_up.len();
        self.put_aside(given_up).await?;
        self.status.arrived((sent - lost) as u64, lost as u64);
        Ok(())
    }

    /// Dead letters, one for each reason.
    async fn put_aside(&self, given_up: Vec<GivenUp>) -> Result<(), StoreError> {
        for letters in
            given_up.chunk_by(|one, other| (one.attempts, &one.error) == (other.attempts, &other.error))
        {
            let Some(first) = letters.first() else { continue };
            self.status.failed(Condition::Working, &first.error);
            let ids: Vec<String> = letters.iter().map(|letter| letter.event.id.clone()).collect();
            let attempts = first.attempts.into();
            let now = Timestamp::now();
            self.store
                .create_delivery(&self.notifier, &ids, attempts, &first.error, DeliveryState::Dead, now)
                .await?;
        }
        Ok(())
    }

    /// Those that somebody asked for: each is tried once.
    async fn retry_dead_letters(&self) -> Result<(), StoreError> {
        for delivery in self.store.due_deliveries(&self.notifier, RETRIED).await? {
            self.retry(delivery).await?;
        }
        Ok(())
    }

    async fn retry(&self, delivery: Delivery) -> Result<(), StoreError> {
        let mut events = Vec::with_capacity(delivery.event_ids.len());
        for id in &delivery.event_ids {
            match self.store.event(id).await {
                Ok(stored) => events.push(stored.event),
                Err(StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        if events.is_empty() {
            let error = "its events are no longer kept";
            return self
                .store
                .delivery_failed(&delivery.id, error, DeliveryState::Dead, Timestamp::now())
                .await;
        }
        let pace = Pace { attempts: 1, ..self.pace.clone() };
        let sent = events.len();
        let given_up: Vec<GivenUp> = deliver(&self.sink, events, &pace, |_| {}).await;
        if given_up.len() == sent {
            let error = given_up.first().map_or("", |letter| letter.error.as_str());
            return self
                .store
                .delivery_failed(&delivery.id, error, DeliveryState::Dead, Timestamp::now())
                .await;
        }
        let attempts = u32::try_from(delivery.attempts + 1).unwrap_or(u32::MAX);
        let arrived = (sent - given_up.len()) as u64;
        self.put_aside(given_up.into_iter().map(|letter| GivenUp { attempts, ..letter }).collect()).await?;
        self.status.arrived(arrived, 0);
        self.store.delivery_done(&delivery.id).await
    }

    /// Events between the place and the oldest one are gone: retention was faster.
    async fn count_missed(&self, cursor: i64) -> Result<(), StoreError> {
        if let Some(oldest) = self.store.oldest_event().await? {
            let missed = u64::try_from(oldest - cursor - 1).unwrap_or(0);
            self.status.change(|status| status.missed += missed);
        }
        Ok(())
    }
}
