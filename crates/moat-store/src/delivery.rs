//! Deliveries that did not succeed at once: waiting to be tried again, or dead letters.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Row, json as as_json, new_id, now, word};
use crate::{Change, Result, Store, StoreError, Transaction};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    pub id: String,
    pub notifier_id: String,
    pub event_ids: Vec<String>,
    pub attempts: i64,
    pub last_error: Option<String>,
    pub state: DeliveryState,
    pub next_at: Timestamp,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum DeliveryState {
    /// Tried again at `next_at`.
    Waiting,
    /// Given up: somebody has to look.
    Dead,
}

impl Store {
    /// Puts a delivery aside.
    pub async fn create_delivery(
        &self,
        notifier_id: &str,
        event_ids: &[String],
        attempts: i64,
        error: &str,
        state: DeliveryState,
        next_at: Timestamp,
    ) -> Result<String> {
        let id = new_id();
        self.database
            .execute(
                "INSERT INTO delivery (id, notifier_id, event_ids, attempts, last_error, state, next_at, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                vec![
                    (&id).into(),
                    notifier_id.into(),
                    as_json(&event_ids)?,
                    attempts.into(),
                    error.into(),
                    word(&state),
                    next_at.into(),
                    now().into(),
                ],
            )
            .await?;
        Ok(id)
    }

    /// What is to be tried again by now, oldest first.
    pub async fn due_deliveries(&self, notifier_id: &str, limit: usize) -> Result<Vec<Delivery>> {
        let rows = self
            .database
            .fetch(
                "SELECT * FROM delivery WHERE notifier_id = $1 AND state = $2 AND next_at <= $3
                 ORDER BY next_at, id LIMIT $4",
                vec![
                    notifier_id.into(),
                    word(&DeliveryState::Waiting),
                    now().into(),
                    (limit.clamp(1, 1000) as i64).into(),
                ],
            )
            .await?;
        rows.iter().map(delivery).collect()
    }

    /// When the next delivery is to be tried again.
    pub async fn next_delivery(&self, notifier_id: &str) -> Result<Option<Timestamp>> {
        let row = self
            .database
            .fetch_optional(
                "SELECT next_at FROM delivery WHERE notifier_id = $1 AND state = $2 ORDER BY next_at LIMIT 1",
                vec![notifier_id.into(), word(&DeliveryState::Waiting)],
            )
            .await?;
        row.map(|row| row.time("next_at")).transpose()
    }

    /// What was given up, newest first; `before` is the id of the page's last before this one.
    pub async fn dead_letters(
        &self,
        notifier_id: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Delivery>> {
        let rows = self
            .database
            .fetch(
                "SELECT * FROM delivery WHERE notifier_id = $1 AND state = $2 AND ($3 IS NULL OR id < $3)
                 ORDER BY id DESC LIMIT $4",
                vec![
                    notifier_id.into(),
                    word(&DeliveryState::Dead),
                    before.map(str::to_owned).into(),
                    (limit.clamp(1, 1000) as i64).into(),
                ],
            )
            .await?;
        rows.iter().map(delivery).collect()
    }

    pub async fn dead_letter_count(&self, notifier_id: &str) -> Result<i64> {
        let row = self
            .database
            .fetch_optional(
                "SELECT count(*) AS letters FROM delivery WHERE notifier_id = $1 AND state = $2",
                vec![notifier_id.into(), word(&DeliveryState::Dead)],
            )
            .await?;
        row.map_or(Ok(0), |row| row.get("letters"))
    }

    /// It failed once more.
    pub async fn delivery_failed(
        &self,
        id: &str,
        error: &str,
        state: DeliveryState,
        next_at: Timestamp,
    ) -> Result<()> {
        self.database
            .execute(
                "UPDATE delivery SET attempts = attempts + 1, last_error = $2, state = $3, next_at = $4 WHERE id = $1",
                vec![id.into(), error.into(), word(&state), next_at.into()],
            )
            .await?;
        Ok(())
    }

    /// It arrived.
    pub async fn delivery_done(&self, id: &str) -> Result<()> {
        self.database.execute("DELETE FROM delivery WHERE id = $1", vec![id.into()]).await?;
        Ok(())
    }

    /// Forgets dead letters from before `before`, and of each notifier all but the newest `most`.
    pub async fn purge_dead_letters(&self, before: Timestamp, most: usize) -> Result<u64> {
        self.database
            .execute(
                "DELETE FROM delivery WHERE state = $1 AND (created_at < $2 OR id IN (
                   SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY notifier_id ORDER BY id DESC) AS place
                     FROM delivery WHERE state = $1) AS ranked WHERE place > $3))",
                vec![word(&DeliveryState::Dead), before.into(), (most as i64).into()],
            )
            .await
    }
}

impl Transaction {
    /// Has dead letters tried again: one, or all of a notifier's.
    pub async fn retry_dead_letters(&mut self, notifier_id: &str, id: Option<&str>) -> Result<u64> {
        let touched = self
            .connection
            .execute(
                "UPDATE delivery SET state = $3, next_at = $4
                 WHERE notifier_id = $1 AND ($2 IS NULL OR id = $2) AND state = $5",
                vec![
                    notifier_id.into(),
                    id.map(str::to_owned).into(),
                    word(&DeliveryState::Waiting),
                    self.at.into(),
                    word(&DeliveryState::Dead),
                ],
            )
            .await?;
        self.audit_dead_letters("retry", notifier_id, id, touched)?;
        Ok(touched)
    }

    /// Forgets dead letters: one, or all of a notifier's.
    pub async fn delete_dead_letters(&mut self, notifier_id: &str, id: Option<&str>) -> Result<u64> {
        let touched = self
            .connection
            .execute(
                "DELETE FROM delivery WHERE notifier_id = $1 AND ($2 IS NULL OR id = $2) AND state = $3",
                vec![notifier_id.into(), id.map(str::to_owned).into(), word(&DeliveryState::Dead)],
            )
            .await?;
        self.audit_dead_letters("delete", notifier_id, id, touched)?;
        Ok(touched)
    }

    fn audit_dead_letters(
        &mut self,
        action: &str,
        notifier_id: &str,
        id: Option<&str>,
        touched: u64,
    ) -> Result<()> {
        if let (0, Some(id)) = (touched, id) {
            return Err(StoreError::NotFound { what: "dead letter", name: id.to_owned() });
        }
        self.audit(action, "dead-letters", notifier_id, &json!({ "id": id, "deliveries": touched }));
        self.changed(Change::Notifiers);
        Ok(())
    }
}

fn delivery(row: &Row) -> Result<Delivery> {
    Ok(Delivery {
        id: row.get("id")?,
        notifier_id: row.get("notifier_id")?,
        event_ids: row.json("event_ids")?,
        attempts: row.get("attempts")?,
        last_error: row.get("last_error")?,
        state: row.word("state")?,
        next_at: row.time("next_at")?,
        created_at: row.time("created_at")?,
    })
}
