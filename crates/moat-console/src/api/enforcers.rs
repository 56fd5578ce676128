//! Enforcers.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use moat_event::Loss;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Done, Segments};
use super::page::Page;
use super::problem::Problem;
use super::route::{Route, delete, get};
use crate::Console;
use crate::access::{Access, Action, Caller, Resource};

const READ: Access = Access::To(Resource::Enforcers, Action::Read);
const WRITE: Access = Access::To(Resource::Enforcers, Action::Write);

pub fn routes() -> Vec<Route> {
    vec![
        get("/enforcers", READ, "listEnforcers", "All enforcers", list),
        get("/enforcers/{id}", READ, "getEnforcer", "One enforcer", show),
        delete(
            "/enforcers/{id}",
            WRITE,
            "revokeEnforcer",
            "Revoke an enforcer: it may not connect again, and goes on enforcing what it has",
            revoke,
        ),
    ]
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Enforcer {
    pub id: String,
    pub node: String,
    pub version: String,
    pub kernel: String,
    /// `lsm`, `guard` or `observe`.
    pub driver: String,
    pub capabilities: Vec<Capability>,
    pub state: EnforcerState,
    pub enrolled_at: Timestamp,
    pub last_seen_at: Option<Timestamp>,
    pub certificate_serial: String,
    pub certificate_expires_at: Option<Timestamp>,
    /// Versions of the policy set: the console's own, and how far this enforcer is.
    pub current_set: i64,
    pub offered_set: i64,
    pub accepted_set: i64,
    pub enforced_set: i64,
    /// How long events take from the node to the store.
    pub lag_ms: i64,
    /// As of its last heartbeat.
    pub status: EnforcerStatus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EnforcerState {
    Connected,
    /// Not connected. It goes on enforcing what it has.
    Away,
    Revoked,
    /// Another machine has enrolled under its node's name.
    Replaced,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EnforcerStatus {
    pub uptime_seconds: Option<u64>,
    pub resident_bytes: Option<u64>,
    pub containers: Option<u64>,
    pub losses: Vec<Loss>,
    /// Events that wait on the node.
    pub spool_events: Option<u64>,
    pub spool_bytes: Option<u64>,
    /// What is wrong there now, in words.
    pub problems: Vec<String>,
}

/// What the node's kernel can hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capability {
    pub name: String,
    pub summary: String,
    pub available: bool,
    pub driver: String,
    pub detail: String,
}

/// As much of an enforcer's capabilities as is shown, whatever else its version says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capabilities {
    entries: Vec<Capability>,
}

impl From<moat_store::EnforcerState> for EnforcerState {
    fn from(state: moat_store::EnforcerState) -> EnforcerState {
        match state {
            moat_store::EnforcerState::Connected => EnforcerState::Connected,
            moat_store::EnforcerState::Away => EnforcerState::Away,
            moat_store::EnforcerState::Revoked => EnforcerState::Revoked,
            moat_store::EnforcerState::Replaced => EnforcerState::Replaced,
        }
    }
}

impl Enforcer {
    pub fn new(enforcer: moat_store::Enforcer, current_set: i64) -> Enforcer {
        // Both come from the enforcer, which may be of another version than this console.
        let capabilities: Capabilities = serde_json::from_value(enforcer.capabilities).unwrap_or_default();
        Enforcer {
            id: enforcer.id,
            node: enforcer.node,
            version: enforcer.version,
            kernel: enforcer.kernel,
            driver: enforcer.driver,
            capabilities: capabilities.entries,
            state: enforcer.state.into(),
            enrolled_at: enforcer.enrolled_at,
            last_seen_at: enforcer.last_seen_at,
            certificate_serial: enforcer.certificate_serial,
            certificate_expires_at: enforcer.certificate_expires_at,
            current_set,
            offered_set: enforcer.progress.offered_set,
            accepted_set: enforcer.progress.accepted_set,
            enforced_set: enforcer.progress.enforced_set,
            lag_ms: enforcer.lag_ms,
            status: serde_json::from_value(enforcer.status).unwrap_or_default(),
        }
    }
}

async fn list(State(console): State<Console>) -> Result<Json<Page<Enforcer>>, Problem> {
    let set = console.store().policy_set().await?;
    let enforcers = console.store().enforcers().await?;
    Ok(Json(Page::whole(enforcers.into_iter().map(|enforcer| Enforcer::new(enforcer, set)).collect())))
}

async fn show(
    State(console): State<Console>,
    Segments(id): Segments<String>,
) -> Result<Json<Enforcer>, Problem> {
    let set = console.store().policy_set().await?;
    Ok(Json(Enforcer::new(console.store().enforcer(&id).await?, set)))
}

async fn revoke(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Done, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.revoke_enforcer(&id).await?;
    transaction.commit().await?;
    Ok(Done)
}
