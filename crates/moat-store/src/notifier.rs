//! Notifiers: where events are sent on to, and how far each has come.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Row, json as as_json, new_id};
use crate::{Change, Result, Store, StoreError, Transaction};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notifier {
    pub id: String,
    pub name: String,
    pub kind: String,
    /// Its secrets are sealed by the caller.
    pub config: serde_json::Value,
    pub filter: serde_json::Value,
    pub enabled: bool,
    pub revision: i64,
    /// Sequence number of the last event that was delivered or put aside; the next to send is after it.
    pub cursor: i64,
    /// What the replica that works for it last said about it.
    pub status: serde_json::Value,
}

#[derive(Debug, Clone)]
pub struct NewNotifier {
    pub name: String,
    pub kind: String,
    pub config: serde_json::Value,
    pub filter: serde_json::Value,
    pub enabled: bool,
}

impl Store {
    pub async fn notifiers(&self) -> Result<Vec<Notifier>> {
        let rows = self.database.fetch("SELECT * FROM notifier ORDER BY name", vec![]).await?;
        rows.iter().map(notifier).collect()
    }

    pub async fn notifier(&self, id: &str) -> Result<Notifier> {
        let row =
            self.database.fetch_optional("SELECT * FROM notifier WHERE id = $1", vec![id.into()]).await?;
        notifier(&row.ok_or_else(|| not_found(id))?)
    }
}

impl Transaction {
    /// Adds a notifier; it begins with the events that come from now on.
    pub async fn create_notifier(&mut self, new: NewNotifier) -> Result<Notifier> {
        let newest =
            self.connection.fetch_optional("SELECT value FROM counter WHERE name = 'event'", vec![]).await?;
        let notifier = Notifier {
            id: new_id(),
            name: new.name,
            kind: new.kind,
            config: new.config,
            filter: new.filter,
            enabled: new.enabled,
            revision: 1,
            cursor: newest.map_or(Ok(0), |row| row.get("value"))?,
            status: json!({}),
        };
        self.connection
            .execute(
                "INSERT INTO notifier (id, name, kind, config, filter, enabled, revision, cursor, lease_beat, status)
                 VALUES ($1, $2, $3, $4, $5, $6, 1, $7, 0, '{}')",
                vec![
                    (&notifier.id).into(),
                    (&notifier.name).into(),
                    (&notifier.kind).into(),
                    as_json(&notifier.config)?,
                    as_json(&notifier.filter)?,
                    notifier.enabled.into(),
                    notifier.cursor.into(),
                ],
            )
            .await
            .map_err(|error| error.exists("notifier", &notifier.name))?;
        self.audit_notifier("create", &notifier);
        Ok(notifier)
    }

    /// Changes a notifier that is at revision `expected`; it keeps its place among the events.
    pub async fn update_notifier(&mut self, id: &str, new: NewNotifier, expected: i64) -> Result<Notifier> {
        let row = self
            .connection
            .fetch_optional(
                "UPDATE notifier SET name = $2, kind = $3, config = $4, filter = $5, enabled = $6,
                   revision = revision + 1 WHERE id = $1 AND revision = $7 RETURNING *",
                vec![
                    id.into(),
                    (&new.name).into(),
                    (&new.kind).into(),
                    as_json(&new.config)?,
                    as_json(&new.filter)?,
                    new.enabled.into(),
                    expected.into(),
                ],
            )
            .await
            .map_err(|error| error.exists("notifier", &new.name))?;
        let Some(row) = row else {
            let row = self
                .connection
                .fetch_optional("SELECT revision FROM notifier WHERE id = $1", vec![id.into()])
                .await?;
            let current = row.ok_or_else(|| not_found(id))?.get("revision")?;
            return Err(StoreError::Conflict { current });
        };
        let notifier = notifier(&row)?;
        self.audit_notifier("update", &notifier);
        Ok(notifier)
    }

    pub async fn delete_notifier(&mut self, id: &str) -> Result<()> {
        let row = self
            .connection
            .fetch_optional("DELETE FROM notifier WHERE id = $1 RETURNING *", vec![id.into()])
            .await?;
        let notifier = notifier(&row.ok_or_else(|| not_found(id))?)?;
        self.connection.execute("DELETE FROM delivery WHERE notifier_id = $1", vec![id.into()]).await?;
        self.audit_notifier("delete", &notifier);
        Ok(())
    }

    /// Without its configuration, which holds secrets.
    fn audit_notifier(&mut self, action: &str, notifier: &Notifier) {
        let detail = json!({ "id": notifier.id, "kind": notifier.kind, "enabled": notifier.enabled, "filter": notifier.filter });
        self.audit(action, "notifiers", &notifier.name, &detail);
        self.changed(Change::Notifiers);
    }
}

pub(crate) fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "notifier", name: id.to_owned() }
}

fn notifier(row: &Row) -> Result<Notifier> {
    Ok(Notifier {
        id: row.get("id")?,
        name: row.get("name")?,
        kind: row.get("kind")?,
        config: row.json("config")?,
        filter: row.json("filter")?,
        enabled: row.flag("enabled")?,
        revision: row.get("revision")?,
        cursor: row.get("cursor")?,
        status: row.json("status")?,
    })
}
