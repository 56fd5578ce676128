//! Settings: a JSON value for each key, with a revision that guards against two people changing it at once.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Row, json as as_json};
use crate::{Change, Result, Store, StoreError, Transaction};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    pub key: String,
    pub value: serde_json::Value,
    /// 0 for one that nobody has set.
    pub revision: i64,
}

impl Store {
    pub async fn settings(&self) -> Result<Vec<Setting>> {
        let rows = self.database.fetch("SELECT * FROM setting ORDER BY key", vec![]).await?;
        rows.iter().map(setting).collect()
    }

    /// `None` where nobody has set it: the caller knows the default.
    pub async fn setting(&self, key: &str) -> Result<Option<Setting>> {
        let row =
            self.database.fetch_optional("SELECT * FROM setting WHERE key = $1", vec![key.into()]).await?;
        row.as_ref().map(setting).transpose()
    }
}

impl Transaction {
    /// Sets what is at revision `expected`: 0 if it was not set yet. `shown` is what the audit log gets: the value without
    /// its secrets.
    pub async fn put_setting(
        &mut self,
        key: &str,
        value: &serde_json::Value,
        expected: i64,
        shown: serde_json::Value,
    ) -> Result<Setting> {
        let touched = if expected == 0 {
            self.connection
                .execute(
                    "INSERT INTO setting (key, value, revision) VALUES ($1, $2, 1) ON CONFLICT (key) DO NOTHING",
                    vec![key.into(), as_json(value)?],
                )
                .await?
        } else {
            self.connection
                .execute(
                    "UPDATE setting SET value = $2, revision = revision + 1 WHERE key = $1 AND revision = $3",
                    vec![key.into(), as_json(value)?, expected.into()],
                )
                .await?
        };
        if touched == 0 {
            let row = self
                .connection
                .fetch_optional("SELECT revision FROM setting WHERE key = $1", vec![key.into()])
                .await?;
            return Err(StoreError::Conflict { current: row.map_or(Ok(0), |row| row.get("revision"))? });
        }
        self.audit("update", "settings", key, &json!({ "value": shown }));
        self.changed(Change::Settings);
        Ok(Setting { key: key.to_owned(), value: value.clone(), revision: expected + 1 })
    }
}

fn setting(row: &Row) -> Result<Setting> {
    Ok(Setting { key: row.get("key")?, value: row.json("value")?, revision: row.get("revision")? })
}
