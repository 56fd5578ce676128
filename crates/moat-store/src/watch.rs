//! The change feed: what changed, on this replica or on another.
//!
//! It carries no contents and loses nothing: a watcher that was busy learns the newest numbers, and reads from where it
//! was. Between replicas it travels by PostgreSQL's LISTEN/NOTIFY; after a lost connection everything counts as changed.

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::database::Database;
use crate::{Result, Store, StoreError};

const CHANNEL: &str = "moat";
/// How long to wait before the next try to listen while PostgreSQL is away.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Events up to this sequence number are there: [`Store::events_after`] reads them.
    Events {
        up_to: i64,
    },
    /// The policy set has this version.
    Policies {
        set: i64,
    },
    /// Enforcers, their certificates, or how far they are with policies.
    Enforcers,
    Containers,
    Settings,
    Notifiers,
    /// Users and tokens.
    Access,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events { up_to } => write!(f, "events {up_to}"),
            Self::Policies { set } => write!(f, "policies {set}"),
            Self::Enforcers => f.write_str("enforcers"),
            Self::Containers => f.write_str("containers"),
            Self::Settings => f.write_str("settings"),
            Self::Notifiers => f.write_str("notifiers"),
            Self::Access => f.write_str("access"),
        }
    }
}

impl FromStr for Change {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (word, number) = text.split_once(' ').unwrap_or((text, ""));
        let number = || number.parse().map_err(|_| ());
        Ok(match word {
            "events" => Self::Events { up_to: number()? },
            "policies" => Self::Policies { set: number()? },
            "enforcers" => Self::Enforcers,
            "containers" => Self::Containers,
            "settings" => Self::Settings,
            "notifiers" => Self::Notifiers,
            "access" => Self::Access,
            _ => return Err(()),
        })
    }
}

/// How often each thing has changed; events and policies have numbers of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Versions {
    events: i64,
    policies: i64,
    enforcers: u64,
    containers: u64,
    settings: u64,
    notifiers: u64,
    access: u64,
}

impl Versions {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Events { up_to } => self.events = self.events.max(up_to),
            Change::Policies { set } => self.policies = self.policies.max(set),
            Change::Enforcers => self.enforcers += 1,
            Change::Containers => self.containers += 1,
            Change::Settings => self.settings += 1,
            Change::Notifiers => self.notifiers += 1,
            Change::Access => self.access += 1,
        }
    }

    fn since(self, seen: Self) -> Vec<Change> {
        [
            (self.events != seen.events, Change::Events { up_to: self.events }),
            (self.policies != seen.policies, Change::Policies { set: self.policies }),
            (self.enforcers != seen.enforcers, Change::Enforcers),
            (self.containers != seen.containers, Change::Containers),
            (self.settings != seen.settings, Change::Settings),
            (self.notifiers != seen.notifiers, Change::Notifiers),
            (self.access != seen.access, Change::Access),
        ]
        .into_iter()
        .filter_map(|(changed, change)| changed.then_some(change))
        .collect()
    }
}

/// Waits for changes; those that happen while nobody waits are told at the next wait, each kind once.
#[derive(Debug, Clone)]
pub struct Watch {
    receiver: watch::Receiver<Versions>,
    seen: Versions,
}

impl Watch {
    /// What changed since the call before, or since [`Store::watch`]. Ends when the store is dropped.
    pub async fn changed(&mut self) -> Option<Vec<Change>> {
        let seen = self.seen;
        let versions = *self.receiver.wait_for(|versions| *versions != seen).await.ok()?;
        self.seen = versions;
        Some(versions.since(seen))
    }
}

impl Store {
    /// Watches for changes from now on.
    pub fn watch(&self) -> Watch {
        let receiver = self.feed.versions.subscribe();
        let seen = *receiver.borrow();
        Watch { receiver, seen }
    }

    /// Tells every replica of a change that was committed already.
    pub(crate) async fn announce(&self, change: Change) -> Result<()> {
        if let Database::Postgres(_) = self.database {
            self.database.fetch("SELECT pg_notify('moat', $1)", vec![change.to_string().into()]).await?;
        }
        self.feed.publish(change);
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Feed {
    versions: watch::Sender<Versions>,
    listener: std::sync::OnceLock<AbortHandle>,
}

impl Feed {
    pub async fn start(database: Database) -> Result<Arc<Self>> {
        let feed =
            Arc::new(Self { versions: watch::Sender::default(), listener: std::sync::OnceLock::new() });
        feed.catch_up(&database).await?;
        if let Database::Postgres(pool) = database {
            let task = tokio::spawn(listen(pool, Arc::downgrade(&feed)));
            let _ = feed.listener.set(task.abort_handle());
        }
        Ok(feed)
    }

    pub fn publish(&self, change: Change) {
        self.versions.send_if_modified(|versions| {
            let before = *versions;
            versions.apply(change);
            *versions != before
        });
    }

    /// Reads the numbers, and counts everything else as changed.
    async fn catch_up(&self, database: &Database) -> Result<()> {
        let rows = database.fetch("SELECT name, value FROM counter", vec![]).await?;
        let mut changes =
            vec![Change::Enforcers, Change::Containers, Change::Settings, Change::Notifiers, Change::Access];
        for row in rows {
            let value = row.get("value")?;
            match row.get::<String>("name")?.as_str() {
                "event" => changes.push(Change::Events { up_to: value }),
                "policy_set" => changes.push(Change::Policies { set: value }),
                _ => {}
            }
        }
        self.versions.send_modify(|versions| changes.into_iter().for_each(|change| versions.apply(change)));
        Ok(())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some(listener) = self.listener.get() {
            listener.abort();
        }
    }
}

/// Hears what other replicas announce, for as long as the feed lives.
async fn listen(pool: PgPool, feed: Weak<Feed>) {
    let database = Database::Postgres(pool.clone());
    loop {
        let heard = hear(&pool, &database, &feed).await;
        let Err(error) = heard else { return };
        tracing::warn!(%error, "cannot hear of other replicas' changes; trying again");
        tokio::time::sleep(LISTEN_AGAIN_AFTER).await;
    }
}

/// Until the connection is lost (an error) or the feed is gone.
async fn hear(pool: &PgPool, database: &Database, feed: &Weak<Feed>) -> Result<()> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    let Some(alive) = feed.upgrade() else { return Ok(()) };
    // What was announced before the connection stood.
    alive.catch_up(database).await?;
    drop(alive);
    loop {
        let notification = listener.try_recv().await?;
        let Some(feed) = feed.upgrade() else { return Ok(()) };
        let Some(notification) = notification else {
            return Err(StoreError::Unavailable("the connection to PostgreSQL was lost".into()));
        };
        if let Ok(change) = notification.payload().parse() {
            feed.publish(change);
        } else {
            tracing::warn!("another replica announces what this version does not know");
        }
    }
}
