//! The audit log: append-only, each entry's hash over the one before it, so that a changed, removed or inserted entry
//! shows.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::database::{Connection, Row};
use crate::transaction::Actor;
use crate::{Result, Store};

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// 1, 2, 3 … without gaps.
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    pub role: String,
    pub source_address: String,
    pub action: String,
    pub resource: String,
    pub name: String,
    pub detail: serde_json::Value,
    /// In hexadecimal digits.
    pub previous_hash: String,
    pub hash: String,
}

/// Which entries to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub actor: Option<String>,
    pub action: Option<String>,
    pub resource: Option<String>,
    pub name: Option<String>,
    /// Only entries before this sequence number: the last one of the page before.
    pub before: Option<i64>,
    pub limit: usize,
}

/// What a check of the whole log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerification {
    pub entries: i64,
    /// The last entry's hash, to be kept elsewhere: it shows whether the whole log was replaced.
    pub hash: String,
    pub broken: Option<AuditBreak>,
}

/// Where the chain is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditBreak {
    pub seq: i64,
    pub reason: String,
}

#[derive(Debug)]
pub(crate) struct NewEntry {
    pub action: String,
    pub resource: String,
    pub name: String,
    /// JSON, kept and hashed as it is.
    pub detail: String,
}

/// What the hash is over, in this order; times in microseconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hashed<'a> {
    seq: i64,
    at: i64,
    actor: &'a str,
    role: &'a str,
    source_address: &'a str,
    action: &'a str,
    resource: &'a str,
    name: &'a str,
    detail: &'a str,
}

impl Hashed<'_> {
    fn hash(&self, previous: &[u8]) -> Vec<u8> {
        let json = serde_json::to_vec(self).unwrap_or_default();
        Sha256::new().chain_update(previous).chain_update(json).finalize().to_vec()
    }
}

/// Before the first entry.
const GENESIS: [u8; 32] = [0; 32];
const PAGE: i64 = 1000;

pub(crate) async fn append(
    connection: &mut Connection,
    actor: &Actor,
    at: Timestamp,
    entries: Vec<NewEntry>,
) -> Result<()> {
    let last = connection.raise("audit", entries.len() as i64).await?;
    let first = last - entries.len() as i64 + 1;
    let mut previous = match first - 1 {
        0 => GENESIS.to_vec(),
        before => {
            let row = connection
                .fetch_optional("SELECT hash FROM audit WHERE seq = $1", vec![before.into()])
                .await?;
            // A removed end is for `verify` to tell, not a reason to stop recording.
            row.map_or(Ok(GENESIS.to_vec()), |row| row.get("hash"))?
        }
    };
    for (seq, entry) in (first..).zip(entries) {
        let text = |text: &str| text.replace('\0', "\u{fffd}");
        let (name, actor_name) = (text(&entry.name), text(&actor.name));
        let hash = Hashed {
            seq,
            at: at.as_microsecond(),
            actor: &actor_name,
            role: &actor.role,
            source_address: &actor.source_address,
            action: &entry.action,
            resource: &entry.resource,
            name: &name,
            detail: &entry.detail,
        }
        .hash(&previous);
        connection
            .execute(
                "INSERT INTO audit (seq, at, actor, role, source_address, action, resource, name, detail, previous_hash, hash)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                vec![
                    seq.into(),
                    at.into(),
                    actor_name.into(),
                    actor.role.as_str().into(),
                    actor.source_address.as_str().into(),
                    entry.action.into(),
                    entry.resource.into(),
                    name.into(),
                    entry.detail.into(),
                    previous.into(),
                    hash.clone().into(),
                ],
            )
            .await?;
        previous = hash;
    }
    Ok(())
}

impl Store {
    /// A page of the log, newest first.
    pub async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>> {
        let rows = self
            .database
            .fetch(
                "SELECT * FROM audit
                 WHERE ($1 IS NULL OR at >= $1) AND ($2 IS NULL OR at < $2) AND ($3 IS NULL OR actor = $3)
                   AND ($4 IS NULL OR action = $4) AND ($5 IS NULL OR resource = $5) AND ($6 IS NULL OR name = $6)
                   AND ($7 IS NULL OR seq < $7)
                 ORDER BY seq DESC LIMIT $8",
                vec![
                    filter.from.into(),
                    filter.to.into(),
                    (&filter.actor).into(),
                    (&filter.action).into(),
                    (&filter.resource).into(),
                    (&filter.name).into(),
                    filter.before.into(),
                    (filter.limit.clamp(1, 1000) as i64).into(),
                ],
            )
            .await?;
        rows.iter().map(entry).collect()
    }

    /// Recomputes every hash, from the first entry to the last.
    pub async fn verify_audit(&self) -> Result<AuditVerification> {
        let mut snapshot = self.database.snapshot().await?;
        let counted: i64 =
            match snapshot.fetch_optional("SELECT value FROM counter WHERE name = 'audit'", vec![]).await? {
                Some(row) => row.get("value")?,
                None => 0,
            };
        let mut verified = AuditVerification { entries: 0, hash: hex(&GENESIS), broken: None };
        let mut previous = GENESIS.to_vec();
        loop {
            let rows = snapshot
                .fetch(
                    "SELECT * FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
                    vec![verified.entries.into(), PAGE.into()],
                )
                .await?;
            for row in &rows {
                let (seq, reason) = (row.get::<i64>("seq")?, judge(row, verified.entries + 1, &previous)?);
                if let Some(reason) = reason {
                    verified.broken = Some(AuditBreak { seq, reason: reason.to_owned() });
                    return Ok(verified);
                }
                previous = row.get("hash")?;
                verified.entries = seq;
                verified.hash = hex(&previous);
            }
            if rows.len() < PAGE as usize {
                break;
            }
        }
        snapshot.commit().await?;
        if verified.entries != counted {
            verified.broken = Some(AuditBreak {
                seq: verified.entries + 1,
                reason: format!("the log ends here, but {counted} entries were written"),
            });
        }
        Ok(verified)
    }
}

/// What is wrong with an entry that should be number `expected` and follow on the hash `previous`.
fn judge(row: &Row, expected: i64, previous: &[u8]) -> Result<Option<&'static str>> {
    let text = |name| row.get::<String>(name);
    let seq: i64 = row.get("seq")?;
    if seq != expected {
        return Ok(Some("entries before this one were removed"));
    }
    if row.get::<Vec<u8>>("previous_hash")? != previous {
        return Ok(Some("it does not follow on the entry before it"));
    }
    let hash = Hashed {
        seq,
        at: row.get("at")?,
        actor: &text("actor")?,
        role: &text("role")?,
        source_address: &text("source_address")?,
        action: &text("action")?,
        resource: &text("resource")?,
        name: &text("name")?,
        detail: &text("detail")?,
    }
    .hash(previous);
    Ok((hash != row.get::<Vec<u8>>("hash")?).then_some("it was changed after it was written"))
}

fn entry(row: &Row) -> Result<AuditEntry> {
    Ok(AuditEntry {
        seq: row.get("seq")?,
        at: row.time("at")?,
        actor: row.get("actor")?,
        role: row.get("role")?,
        source_address: row.get("source_address")?,
        action: row.get("action")?,
        resource: row.get("resource")?,
        name: row.get("name")?,
        detail: row.json("detail")?,
        previous_hash: hex(&row.get::<Vec<u8>>("previous_hash")?),
        hash: hex(&row.get::<Vec<u8>>("hash")?),
    })
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
