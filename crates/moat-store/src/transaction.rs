use serde::{Deserialize, Serialize};

use jiff::Timestamp;

use crate::audit::NewEntry;
use crate::database::{Connection, now};
use crate::{Change, Result, Store};

/// Who changes something, as the audit log names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// A user's name, `token NAME`, or `moat` for the console itself.
    pub name: String,
    pub role: String,
    pub source_address: String,
}

/// Changes that happen together or not at all, with their entries of the audit log. Dropped without
/// [`Transaction::commit`], nothing happened.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) connection: Connection,
    pub(crate) actor: Actor,
    pub(crate) at: Timestamp,
    store: Store,
    entries: Vec<NewEntry>,
    changes: Vec<Change>,
}

impl Store {
    /// Begins a change by `actor`.
    pub async fn begin(&self, actor: &Actor) -> Result<Transaction> {
        Ok(Transaction {
            connection: self.database.begin().await?,
            actor: actor.clone(),
            at: now(),
            store: self.clone(),
            entries: vec![],
            changes: vec![],
        })
    }
}

impl Transaction {
    /// Adds an entry to the audit log. The changes below do so themselves; this is for what is no change of the store's
    /// (a sign-in, a test message).
    pub fn audit(&mut self, action: &str, resource: &str, name: &str, detail: &serde_json::Value) {
        self.entries.push(NewEntry {
            action: action.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
            detail: detail.to_string(),
        });
    }

    pub(crate) fn changed(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Makes it all durable and visible, and tells every [`crate::Watch`].
    pub async fn commit(mut self) -> Result<()> {
        let entries = std::mem::take(&mut self.entries);
        if !entries.is_empty() {
            // Last of all, so that the log's end is locked only for a moment and in the same order by everybody.
            crate::audit::append(&mut self.connection, &self.actor, self.at, entries).await?;
        }
        for change in &self.changes {
            self.connection.notify(change.to_string()).await?;
        }
        self.connection.commit().await?;
        for change in self.changes {
            self.store.feed.publish(change);
        }
        Ok(())
    }
}
