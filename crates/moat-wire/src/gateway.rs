//! The gateway: one bidirectional stream between each enforcer and the console, over TLS that both sides prove
//! themselves by ([`proto`], from `proto/gateway.proto`).
//!
//! An enforcer is known by its certificate. It enrols with a token, on a connection without a certificate
//! ([`Trust::Pinned`]), and comes back with the certificate that it was given ([`Trust::Authority`]). Enforcers
//! and the load generator use [`connect`]; the console uses [`server_config`].

use jiff::Timestamp;
use moat_event::Workload;
use moat_policy::Attempt;
use serde::{Deserialize, Serialize};

use crate::control::Status;

mod channel;
mod identity;
mod machine;
mod tls;

pub use channel::{ChannelError, Trust, connect};
pub use identity::{Identity, IdentityError, NewKey, from_pem, to_pem};
pub use machine::machine;
#[cfg(test)]
pub(crate) use tls::Pinned;
pub use tls::server_config;

/// Generated from `proto/gateway.proto`.
#[allow(clippy::all, clippy::pedantic, missing_debug_implementations, reason = "generated code")]
pub mod proto {
    tonic::include_proto!("moat.gateway.v1");
}

/// The name in every gateway's certificate, and the one that enforcers ask for whatever address they use: the
/// authority signs for this console only, so that its signature is what counts.
pub const SERVER_NAME: &str = "gateway.moat.internal";
/// Largest message, either way.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// How much content makes a sender end a message and begin the next; one piece may be larger. Small, for the
/// console may have a message of each of thousands of enforcers in hand.
pub const CONTENT: usize = 128 * 1024;
/// Largest event that is sent: some paths and arguments of 4 KiB each and labels of 8 KiB, every byte of which may be escaped.
pub const MAX_EVENT: usize = 256 * 1024;
/// Largest activity that is sent: a path and arguments of 4 KiB each, every byte of which may be escaped.
pub const MAX_ACTIVITY: usize = 64 * 1024;

/// What an enforcer says of itself with every heartbeat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnforcerStatus {
    pub agent: Status,
    pub spool: SpoolStatus,
}

/// Events that wait to be stored by the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpoolStatus {
    pub events: u64,
    pub bytes: u64,
    /// Given up since the start, because the spool was full.
    pub lost: u64,
}

/// A container, as an enforcer reports it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerReport {
    pub workload: Workload,
    /// Names of the policies that select it.
    pub policies: Vec<String>,
    pub rules: usize,
    /// Why its rules are not in force; empty where they are.
    pub problem: String,
    pub protection: Protection,
}

/// What containers of a workload did, and how often since it was last told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivityReport {
    pub namespace: String,
    pub workload_kind: String,
    pub workload_name: String,
    pub container: String,
    /// An execution or a connection.
    pub attempt: Attempt,
    pub count: u64,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protection {
    /// No rule is in force.
    Unprotected,
    /// Rules are in force, all of them in audit mode.
    Audit,
    /// At least one rule is enforced.
    Protected,
}
