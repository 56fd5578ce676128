//! The event: one JSON object a line.

use std::net::IpAddr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Direction, FileOperation, FileSource, Labels, Origin, Protocol, Severity};

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EventType {
    ProcessExec,
    FileAccess,
    NetworkConnection,
    Syscall,
    PrivilegedOperation,
    Drift,
    FileIntegrity,
    AnomalousBehavior,
    Admission,
    ImageScan,
    Compliance,
    Audit,
    /// Moat about itself: losses, gaps, refused policies.
    System,
}

/// What Moat did about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EventAction {
    /// Seen and reported; it went ahead.
    Alerted,
    /// Refused by the kernel: the caller saw an error, the act had no effect.
    Blocked,
    /// The process was killed.
    Killed,
    /// The pod or container was stopped.
    PodKilled,
    /// The container was cut off from the network.
    Quarantined,
    /// What audit mode would have done.
    WouldAlert,
    WouldBlock,
    WouldKill,
    WouldKillPod,
    WouldQuarantine,
}

/// One event. The first nine fields, where they apply, come first and in this order in the JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    pub timestamp: Timestamp,
    pub event_type: EventType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_path: Option<String>,
    pub action: EventAction,
    pub severity: Severity,
    pub message: String,

    /// Unique, sorts by time of creation (UUID version 7, RFC 9562).
    pub id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Kind of the object that controls the pod: see [`Workload`](crate::Workload).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_name: Option<String>,
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_digest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Why this rule decided, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Generation of the rule set that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_operation: Option<FileOperation>,
    /// Of an execution: where the program's file comes from, unless it is the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_source: Option<FileSource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syscall: Option<String>,
    /// A Linux capability without its `CAP_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<String>,
    /// How many identical happenings this event stands for; 1 unless they were aggregated.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
}

/// The process that acted. Strings are the kernel's bytes, invalid UTF-8 replaced by U+FFFD.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// In the node's pid namespace.
    pub pid: u32,
    pub executable: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub arguments_truncated: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cwd: String,
    /// Executable of the parent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent: String,
    pub parent_pid: u32,
    /// In the node's user namespace.
    pub uid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// The other end of a connection; of [`Direction::Listen`], the workload's own. A raw socket has no address: it is
/// unspecified, with port 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    pub direction: Direction,
    pub protocol: Protocol,
    pub address: IpAddr,
    /// The port that the rule is about: the peer's for egress, the workload's own otherwise.
    pub port: u16,
}

/// Where events were lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LossStage {
    /// The kernel's ring buffer was full.
    RingBuffer,
    /// The kernel's own notification queue overflowed.
    NotificationQueue,
    /// The agent's queue between kernel and enrichment was full.
    Pipeline,
    /// A reader of the live stream was too slow.
    Subscriber,
    /// The event file could not be written.
    Output,
    /// The agent's spool of events for the console was full, or could not be written.
    Spool,
    /// Not events: what containers did that the console's inventory is without.
    Observation,
}

/// A loss, always reported as an event of type `System`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    pub stage: LossStage,
    pub events: u64,
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_one(count: &u64) -> bool {
    *count == 1
}
