//! The audit log.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::Query;
use super::page::Page;
use super::problem::Problem;
use super::route::{Route, get, post};
use crate::Console;
use crate::access::{Access, Action, Resource};

const READ: Access = Access::To(Resource::Audit, Action::Read);
const MAX_PAGE: usize = 1000;

pub fn routes() -> Vec<Route> {
    vec![
        get("/audit", READ, "listAuditEntries", "The audit log, newest first", list),
        post("/audit/verify", READ, "verifyAuditLog", "Check the chain of hashes", verify),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    pub seq: i64,
    pub at: Timestamp,
    pub actor: String,
    pub role: String,
    pub source_address: String,
    pub action: String,
    pub resource: String,
    pub name: String,
    pub detail: serde_json::Value,
    /// Of the entry before, in hexadecimal.
    pub previous_hash: String,
    pub hash: String,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuditQuery {
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub to: Option<Timestamp>,
    pub actor: Option<String>,
    pub action: Option<String>,
    pub resource: Option<String>,
    pub name: Option<String>,
    /// 100 where absent, at most 1,000.
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerification {
    pub intact: bool,
    /// Entries that were checked.
    pub entries: i64,
    /// Hash of the newest entry: note it elsewhere, and a log that was rewritten as a whole shows too.
    pub head: String,
    /// The first entry that is not as it was written.
    pub broken_at: Option<i64>,
    pub reason: Option<String>,
}

impl From<moat_store::AuditEntry> for AuditEntry {
    fn from(entry: moat_store::AuditEntry) -> AuditEntry {
        AuditEntry {
            seq: entry.seq,
            at: entry.at,
            actor: entry.actor,
            role: entry.role,
            source_address: entry.source_address,
            action: entry.action,
            resource: entry.resource,
            name: entry.name,
            detail: entry.detail,
            previous_hash: entry.previous_hash,
            hash: entry.hash,
        }
    }
}

impl From<moat_store::AuditVerification> for AuditVerification {
    fn from(found: moat_store::AuditVerification) -> AuditVerification {
        AuditVerification {
            intact: found.broken.is_none(),
            entries: found.entries,
            head: found.hash,
            broken_at: found.broken.as_ref().map(|broken| broken.seq),
            reason: found.broken.map(|broken| broken.reason),
        }
    }
}

async fn list(
    State(console): State<Console>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditEntry>>, Problem> {
    let limit = query.limit.unwrap_or(100).clamp(1, MAX_PAGE);
    let before = query.cursor.map(|cursor| cursor.parse().map_err(|_| Problem::cursor())).transpose()?;
    let filter = moat_store::AuditFilter {
        from: query.from,
        to: query.to,
        actor: query.actor,
        action: query.action,
        resource: query.resource,
        name: query.name,
        before,
        limit,
    };
    let items: Vec<_> =
        console.store().audit_entries(&filter).await?.into_iter().map(AuditEntry::from).collect();
    let next = items.last().filter(|_| items.len() == limit).map(|entry| entry.seq.to_string());
    Ok(Json(Page { items, next }))
}

async fn verify(State(console): State<Console>) -> Result<Json<AuditVerification>, Problem> {
    Ok(Json(console.store().verify_audit().await?.into()))
}
