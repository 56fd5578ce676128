//! The enforcers that are in session here, and what they say of themselves on its way to the store.
//!
//! Heartbeats and statuses of a thousand enforcers are collected and written together. A session that another
//! one replaces, here or on another replica, or whose certificate is revoked, is told so and ends.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moat_store::{Change, Heartbeat, PolicyStatus, Result, Store};
use moat_wire::gateway::proto::goodbye::Reason;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::policies::{Cache, Messages};

/// How often what was collected is written.
const WRITE: Duration = Duration::from_millis(500);
/// How long enforcers' changes are gathered before it is looked up whose sessions are over.
const GATHER: Duration = Duration::from_millis(250);

#[derive(Debug, Clone)]
pub struct Fleet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// This replica, as its sessions' names begin.
    replica: String,
    begun: AtomicU64,
    store: Store,
    sessions: Mutex<HashMap<String, Place>>,
    pending: Mutex<Pending>,
    set: watch::Sender<i64>,
    policies: Cache,
}

/// Where a session can be told that it is over.
#[derive(Debug, Clone)]
struct Place {
    serial: String,
    end: watch::Sender<Option<Reason>>,
}

/// Not yet written, by enforcer.
#[derive(Debug, Default)]
struct Pending {
    heartbeats: BTreeMap<String, Heartbeat>,
    statuses: BTreeMap<String, Vec<PolicyStatus>>,
}

impl Fleet {
    pub async fn start(store: Store, cancel: CancellationToken, tasks: &mut JoinSet<()>) -> Result<Fleet> {
        // First the watch, then the number: a change in between is seen twice, not never.
        let watch = store.watch();
        let set = watch::Sender::new(store.policy_set().await?);
        let fleet = Fleet(Arc::new(Shared {
            replica: Uuid::now_v7().to_string(),
            begun: AtomicU64::new(0),
            store,
            sessions: Mutex::default(),
            pending: Mutex::default(),
            set,
            policies: Cache::default(),
        }));
        let (following, writing) = (fleet.clone(), fleet.clone());
        let until = cancel.clone();
        tasks.spawn(async move {
            let _ = until.run_until_cancelled(following.follow(watch)).await;
        });
        tasks.spawn(async move {
            let _ = Box::pin(cancel.run_until_cancelled(writing.write_regularly())).await;
            // What the last sessions said.
            writing.write().await;
        });
        Ok(fleet)
    }

    /// A name for a session, as the store knows it by.
    pub fn name_session(&self) -> String {
        format!("{}/{}", self.0.replica, self.0.begun.fetch_add(1, Ordering::Relaxed))
    }

    /// Begins an enforcer's session; an older one of the same enforcer ends. The receiver hears why this one is
    /// to end.
    pub fn enter(&self, enforcer: &str, serial: &str) -> watch::Receiver<Option<Reason>> {
        let (end, ends) = watch::channel(None);
        let place = Place { serial: serial.to_owned(), end };
        if let Some(older) = self.sessions().insert(enforcer.to_owned(), place) {
            older.end.send_replace(Some(Reason::Superseded));
        }
        ends
    }

    /// The session that has this receiver is over. Whether the enforcer is gone with it.
    pub fn leave(&self, enforcer: &str, ends: &watch::Receiver<Option<Reason>>) -> bool {
        let mut sessions = self.sessions();
        let ours = sessions.get(enforcer).is_some_and(|place| place.end.subscribe().same_channel(ends));
        ours && sessions.remove(enforcer).is_some()
    }

    /// The version of the policy set; changes when it does.
    pub fn policy_set(&self) -> watch::Receiver<i64> {
        self.0.set.subscribe()
    }

    /// What an enforcer that holds this version needs.
    pub async fn policy_changes(&self, held: i64) -> Result<Arc<Messages>> {
        let newest = *self.0.set.borrow();
        self.0.policies.changes(&self.0.store, held, newest).await
    }

    /// Collects what is new of an enforcer.
    pub fn heard(&self, heartbeat: Heartbeat) {
        let mut pending = self.pending();
        let known = pending.heartbeats.entry(heartbeat.enforcer_id.clone()).or_default();
        known.enforcer_id = heartbeat.enforcer_id;
        known.status = heartbeat.status.or(known.status.take());
        known.progress = heartbeat.progress.or(known.progress);
        known.lag_ms = heartbeat.lag_ms.or(known.lag_ms);
    }

    /// Collects how far an enforcer's policies are.
    pub fn acknowledged(&self, enforcer: &str, statuses: Vec<PolicyStatus>) {
        self.pending().statuses.insert(enforcer.to_owned(), statuses);
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(&self, mut watch: moat_store::Watch) {
        while let Some(changes) = watch.changed().await {
            for change in &changes {
                if let Change::Policies { set } = change {
                    self.0.set.send_replace(*set);
                }
            }
            if changes.contains(&Change::Enforcers) {
                // What fails, and what happens between a session's entry in the store and its place here, is seen with
                // the next heartbeats: they are changes too.
                if let Err(error) = self.end_those_that_are_over().await {
                    tracing::warn!(%error, "whose sessions are over cannot be looked up");
                }
                sleep(GATHER).await;
            }
        }
    }

    async fn end_those_that_are_over(&self) -> Result<()> {
        // Those that are here before the store is asked: it may know another session than one that begins meanwhile.
        let here = self.sessions().clone();
        let revoked: HashSet<_> = self.0.store.revoked_certificates().await?.into_iter().collect();
        let elsewhere: HashSet<_> =
            self.0.store.enforcers_elsewhere(&self.0.replica).await?.into_iter().collect();
        for (enforcer, place) in here {
            if revoked.contains(&place.serial) {
                place.end.send_replace(Some(Reason::Revoked));
            } else if elsewhere.contains(&enforcer) {
                place.end.send_replace(Some(Reason::Superseded));
            }
        }
        Ok(())
    }

    async fn write_regularly(&self) {
        let mut tick = interval(WRITE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.write().await;
        }
    }

    async fn write(&self) {
        let Pending { heartbeats, statuses } = std::mem::take(&mut *self.pending());
        let beats: Vec<_> = heartbeats.values().cloned().collect();
        if let Err(error) = self.0.store.heartbeats(&beats).await {
            tracing::warn!(%error, "enforcers' heartbeats cannot be stored yet");
            for beat in beats {
                // What was heard since is newer.
                let newer = self.pending().heartbeats.remove(&beat.enforcer_id);
                self.heard(beat);
                if let Some(newer) = newer {
                    self.heard(newer);
                }
            }
        }
        if statuses.is_empty() {
            return;
        }
        let enforcers: Vec<_> = statuses.keys().cloned().collect();
        let all: Vec<_> = statuses.values().flatten().cloned().collect();
        if let Err(error) = self.0.store.put_policy_statuses(&enforcers, &all).await {
            tracing::warn!(%error, "policies' statuses cannot be stored yet");
            let mut pending = self.pending();
            for (enforcer, statuses) in statuses {
                pending.statuses.entry(enforcer).or_insert(statuses);
            }
        }
    }
}
