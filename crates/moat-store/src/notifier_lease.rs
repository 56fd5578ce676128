//! Which of several replicas works for a notifier.
//!
//! Clocks of different machines are never compared: whoever works raises a number from time to time, and another
//! replica takes over once it has seen the number stand still for long enough by its own clock. All that the former one
//! writes after that is refused.

use serde_json::Value as Json;

use crate::database::json;
use crate::notifier::not_found;
use crate::{Result, Store, StoreError};

/// What a lease looks like from outside. As long as it changes, somebody works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseSign {
    pub owner: Option<String>,
    beat: i64,
}

impl Store {
    pub async fn notifier_lease(&self, id: &str) -> Result<LeaseSign> {
        let row = self
            .database
            .fetch_optional("SELECT lease_owner, lease_beat FROM notifier WHERE id = $1", vec![id.into()])
            .await?
            .ok_or_else(|| not_found(id))?;
        Ok(LeaseSign { owner: row.get("lease_owner")?, beat: row.get("lease_beat")? })
    }

    /// Takes the lease if it still looks as it was seen. `owner` is a new name each time, so that nobody goes on with
    /// what was taken from them.
    pub async fn take_notifier(&self, id: &str, owner: &str, seen: &LeaseSign) -> Result<bool> {
        let touched = self
            .database
            .execute(
                "UPDATE notifier SET lease_owner = $2, lease_beat = lease_beat + 1
                 WHERE id = $1 AND lease_beat = $3",
                vec![id.into(), owner.into(), seen.beat.into()],
            )
            .await?;
        Ok(touched > 0)
    }

    /// A sign of life, and what there is to say about the work. False once the lease is another's.
    pub async fn renew_notifier(&self, id: &str, owner: &str, status: &Json) -> Result<bool> {
        let touched = self
            .database
            .execute(
                "UPDATE notifier SET lease_beat = lease_beat + 1, status = $3 WHERE id = $1 AND lease_owner = $2",
                vec![id.into(), owner.into(), json(status)?],
            )
            .await?;
        Ok(touched > 0)
    }

    /// Gives the lease back, so that another replica need not wait.
    pub async fn release_notifier(&self, id: &str, owner: &str) -> Result<()> {
        self.database
            .execute(
                "UPDATE notifier SET lease_owner = NULL, lease_beat = lease_beat + 1
                 WHERE id = $1 AND lease_owner = $2",
                vec![id.into(), owner.into()],
            )
            .await?;
        Ok(())
    }

    /// Everything up to `cursor` was delivered or put aside. Refused once the lease is another's.
    pub async fn advance_notifier(&self, id: &str, owner: &str, cursor: i64, status: &Json) -> Result<()> {
        let touched = self
            .database
            .execute(
                "UPDATE notifier SET cursor = $3, status = $4, lease_beat = lease_beat + 1
                 WHERE id = $1 AND lease_owner = $2 AND cursor <= $3",
                vec![id.into(), owner.into(), cursor.into(), json(status)?],
            )
            .await?;
        if touched == 0 {
            return Err(StoreError::Refused("another replica works for this notifier"));
        }
        Ok(())
    }

    /// The number of the oldest event that is kept.
    pub async fn oldest_event(&self) -> Result<Option<i64>> {
        let row = self.database.fetch_optional("SELECT min(seq) AS seq FROM event", vec![]).await?;
        row.map_or(Ok(None), |row| row.get("seq"))
    }
}
