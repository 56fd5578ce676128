//! Enforcers: the agents that have enrolled, and what they last said of themselves.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Connection, Row, json as as_json, new_id, now, word};
use crate::{Change, Result, Store, StoreError, Transaction};

/// A connected enforcer that was not heard of for this long is away: its console may have died with the connection.
const AWAY_AFTER: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enforcer {
    pub id: String,
    pub node: String,
    /// A hash of what identifies the machine, so that a node made anew under the same name is another enforcer.
    pub machine: String,
    pub version: String,
    pub kernel: String,
    pub driver: String,
    /// As `moat_wire` writes it.
    pub capabilities: serde_json::Value,
    pub enrolled_at: Timestamp,
    pub last_seen_at: Option<Timestamp>,
    pub state: EnforcerState,
    pub certificate_serial: String,
    pub certificate_expires_at: Option<Timestamp>,
    /// Uptime, memory, losses, spool: as the enforcer's last heartbeat had it.
    pub status: serde_json::Value,
    #[serde(flatten)]
    pub progress: SetProgress,
    pub lag_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EnforcerState {
    Connected,
    Away,
    /// Its certificate was withdrawn by somebody.
    Revoked,
    /// Another machine enrolled under its node's name.
    Replaced,
}

/// How far an enforcer is with the policy set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetProgress {
    pub offered_set: i64,
    pub accepted_set: i64,
    pub enforced_set: i64,
}

#[derive(Debug, Clone)]
pub struct NewEnforcer {
    pub node: String,
    pub machine: String,
    pub version: String,
}

/// What changed about a connected enforcer; absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat {
    pub enforcer_id: String,
    pub status: Option<serde_json::Value>,
    pub progress: Option<SetProgress>,
    pub lag_ms: Option<i64>,
}

impl Store {
    /// All enforcers, also those that are revoked or replaced, by node.
    pub async fn enforcers(&self) -> Result<Vec<Enforcer>> {
        let rows = self.database.fetch("SELECT * FROM enforcer ORDER BY node, enrolled_at", vec![]).await?;
        rows.iter().map(enforcer).collect()
    }

    pub async fn enforcer(&self, id: &str) -> Result<Enforcer> {
        let row =
            self.database.fetch_optional("SELECT * FROM enforcer WHERE id = $1", vec![id.into()]).await?;
        enforcer(&row.ok_or_else(|| not_found(id))?)
    }

    /// An enforcer's session began, named `REPLICA/…`. From now on it is the one that counts.
    pub async fn enforcer_connected(
        &self,
        id: &str,
        session: &str,
        version: &str,
        kernel: &str,
        driver: &str,
        capabilities: &serde_json::Value,
    ) -> Result<()> {
        let touched = self
            .database
            .execute(
                "UPDATE enforcer SET connected_to = $2, version = $3, kernel = $4, driver = $5, capabilities = $6,
                   last_seen_at = $7 WHERE id = $1",
                vec![
                    id.into(),
                    session.into(),
                    version.into(),
                    kernel.into(),
                    driver.into(),
                    as_json(capabilities)?,
                    now().into(),
                ],
            )
            .await?;
        if touched == 0 {
            return Err(not_found(id));
        }
        self.announce(Change::Enforcers).await
    }

    /// A session ended; if another one began meanwhile, here or on another replica, that one counts.
    pub async fn enforcer_disconnected(&self, id: &str, session: &str) -> Result<()> {
        self.database
            .execute(
                "UPDATE enforcer SET connected_to = NULL, last_seen_at = $3 WHERE id = $1 AND connected_to = $2",
                vec![id.into(), session.into(), now().into()],
            )
            .await?;
        self.announce(Change::Enforcers).await
    }

    /// The enforcers whose newest session is not one of this replica's: what it still has of theirs is over.
    pub async fn enforcers_elsewhere(&self, replica: &str) -> Result<Vec<String>> {
        let rows = self
            .database
            .fetch(
                "SELECT id FROM enforcer WHERE connected_to IS NOT NULL AND connected_to NOT LIKE $1",
                vec![format!("{replica}/%").into()],
            )
            .await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Writes down many heartbeats at once: collect them for a second where there are many enforcers.
    pub async fn heartbeats(&self, heartbeats: &[Heartbeat]) -> Result<()> {
        if heartbeats.is_empty() {
            return Ok(());
        }
        // Always in the same order, so that two replicas do not wait for each other.
        let mut sorted: Vec<_> = heartbeats.iter().collect();
        sorted.sort_by(|a, b| a.enforcer_id.cmp(&b.enforcer_id));
        let mut connection = self.database.begin().await?;
        let at = now();
        for heartbeat in sorted {
            let status = heartbeat.status.as_ref().map(ToString::to_string);
            let progress = heartbeat.progress;
            connection
                .execute(
                    "UPDATE enforcer SET last_seen_at = $2, status = COALESCE($3, status),
                       offered_set = COALESCE($4, offered_set), accepted_set = COALESCE($5, accepted_set),
                       enforced_set = COALESCE($6, enforced_set), lag_ms = COALESCE($7, lag_ms) WHERE id = $1",
                    vec![
                        (&heartbeat.enforcer_id).into(),
                        at.into(),
                        status.into(),
                        progress.map(|progress| progress.offered_set).into(),
                        progress.map(|progress| progress.accepted_set).into(),
                        progress.map(|progress| progress.enforced_set).into(),
                        heartbeat.lag_ms.into(),
                    ],
                )
                .await?;
        }
        connection.notify(Change::Enforcers.to_string()).await?;
        connection.commit().await?;
        self.feed.publish(Change::Enforcers);
        Ok(())
    }
}

impl Transaction {
    /// Takes one use of an enrolment token and returns the enforcer that it admits: the one that this machine had under this
    /// node's name, or a new one. Another machine's under the same name is replaced. The caller issues a certificate with
    /// the enforcer's id and adds it with [`Transaction::add_certificate`] before the commit.
    pub async fn enrol(&mut self, token_id: &str, secret_hash: &[u8], new: NewEnforcer) -> Result<Enforcer> {
        let label = self.use_enrolment_token(token_id, secret_hash).await?;
        let rows = self
            .connection
            .fetch("SELECT * FROM enforcer WHERE node = $1 AND ended IS NULL", vec![(&new.node).into()])
            .await?;
        let mut id = None;
        for row in &rows {
            let known: String = row.get("id")?;
            if row.get::<String>("machine")? == new.machine {
                revoke_certificates(&mut self.connection, &known, self.at, "it enrolled again").await?;
                id = Some(known);
            } else {
                self.end(&known, EnforcerState::Replaced, "another machine enrolled under its name").await?;
                self.audit("replace", "enforcers", &known, &json!({ "node": new.node }));
            }
        }
        let id = id.unwrap_or_else(new_id);
        self.connection
            .execute(
                "INSERT INTO enforcer (id, node, machine, version, kernel, driver, capabilities, enrolled_at,
                   certificate_serial, certificate_expires_at, status, offered_set, accepted_set, enforced_set, lag_ms)
                 VALUES ($1, $2, $3, $4, '', '', 'null', $5, '', 0, 'null', 0, 0, 0, 0)
                 ON CONFLICT (id) DO UPDATE SET version = excluded.version, enrolled_at = excluded.enrolled_at",
                vec![
                    (&id).into(),
                    (&new.node).into(),
                    (&new.machine).into(),
                    (&new.version).into(),
                    self.at.into(),
                ],
            )
            .await?;
        self.audit(
            "enrol",
            "enforcers",
            &id,
            &json!({ "node": new.node, "token": token_id, "label": label }),
        );
        self.changed(Change::Enforcers);
        let row = self
            .connection
            .fetch_optional("SELECT * FROM enforcer WHERE id = $1", vec![(&id).into()])
            .await?;
        enforcer(&row.ok_or_else(|| not_found(&id))?)
    }

    /// Withdraws an enforcer's certificates. Its session must be ended by whoever holds it: see [`Change::Enforcers`].
    pub async fn revoke_enforcer(&mut self, id: &str) -> Result<()> {
        let row =
            self.connection.fetch_optional("SELECT * FROM enforcer WHERE id = $1", vec![id.into()]).await?;
        let enforcer = enforcer(&row.ok_or_else(|| not_found(id))?)?;
        self.end(id, EnforcerState::Revoked, "it was revoked").await?;
        self.audit("revoke", "enforcers", id, &json!({ "node": enforcer.node }));
        Ok(())
    }

    async fn end(&mut self, id: &str, state: EnforcerState, reason: &str) -> Result<()> {
        revoke_certificates(&mut self.connection, id, self.at, reason).await?;
        self.connection
            .execute(
                "UPDATE enforcer SET ended = $2, ended_at = $3, connected_to = NULL WHERE id = $1 AND ended IS NULL",
                vec![id.into(), word(&state), self.at.into()],
            )
            .await?;
        self.connection.execute("DELETE FROM policy_status WHERE enforcer_id = $1", vec![id.into()]).await?;
        self.connection.execute("DELETE FROM node_policy WHERE enforcer_id = $1", vec![id.into()]).await?;
        self.connection
            .execute(
                "UPDATE container SET ended_at = $2 WHERE enforcer_id = $1 AND ended_at IS NULL",
                vec![id.into(), self.at.into()],
            )
            .await?;
        self.changed(Change::Enforcers);
        Ok(())
    }
}

async fn revoke_certificates(
    connection: &mut Connection,
    enforcer_id: &str,
    at: Timestamp,
    reason: &str,
) -> Result<()> {
    connection
        .execute(
            "UPDATE certificate SET revoked_at = $2, reason = $3 WHERE enforcer_id = $1 AND revoked_at IS NULL",
            vec![enforcer_id.into(), at.into(), reason.into()],
        )
        .await?;
    Ok(())
}

fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "enforcer", name: id.to_owned() }
}

fn enforcer(row: &Row) -> Result<Enforcer> {
    let last_seen_at = row.optional_time("last_seen_at")?;
    let connected = row.get::<Option<String>>("connected_to")?.is_some()
        && last_seen_at.is_some_and(|seen| Timestamp::now().duration_since(seen).unsigned_abs() < AWAY_AFTER);
    let state = match row.get::<Option<String>>("ended")? {
        Some(_) => row.word("ended")?,
        None if connected => EnforcerState::Connected,
        None => EnforcerState::Away,
    };
    let expires_at = row.time("certificate_expires_at")?;
    Ok(Enforcer {
        id: row.get("id")?,
        node: row.get("node")?,
        machine: row.get("machine")?,
        version: row.get("version")?,
        kernel: row.get("kernel")?,
        driver: row.get("driver")?,
        capabilities: row.json("capabilities")?,
        enrolled_at: row.time("enrolled_at")?,
        last_seen_at,
        state,
        certificate_serial: row.get("certificate_serial")?,
        certificate_expires_at: (expires_at != Timestamp::UNIX_EPOCH).then_some(expires_at),
        status: row.json("status")?,
        progress: SetProgress {
            offered_set: row.get("offered_set")?,
            accepted_set: row.get("accepted_set")?,
            enforced_set: row.get("enforced_set")?,
        },
        lag_ms: row.get("lag_ms")?,
    })
}
