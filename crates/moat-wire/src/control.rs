//! The agent's control socket: one JSON request a line, one JSON response a line; a subscription to
//! events goes on until either side closes.
//!
//! The socket is a Unix socket that only its owner and root may use (mode 0600, and the peer's user is
//! checked). [`Request::Events`] is answered by any number of events and [`Response::Done`], every other
//! request by one response. A client sends its next request when the last is answered.
//!
//! The command line uses [`Client`], the agent [`Listener`].

use moat_event::{Event, Labels, Severity, Workload};
use moat_policy::Attempt;
use serde::{Deserialize, Serialize};

mod client;
mod connection;
mod frame;
mod listener;
mod responder;

pub use client::{Client, ClientError, EventStream};
pub use listener::{ListenError, Listener, MAX_CLIENTS};
pub use responder::{ClientGone, QUEUE, Responder};

/// Longest line that a client accepts, in bytes.
pub const MAX_LINE: usize = 16 * 1024 * 1024;
/// Longest line that the agent accepts, in bytes: less, for it serves [`MAX_CLIENTS`] at once.
pub const MAX_REQUEST: usize = 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Request {
    Status,
    Containers,
    /// Policies in force with their status, each rule with how it is held.
    Policies,
    Explain(Explain),
    /// Which system calls the seccomp filter of a container has to refuse that the OCI runtime is about to make.
    Filter(NewContainer),
    /// The last events kept in memory, then, with `follow`, live ones until the client closes.
    Events(EventQuery),
    /// Stop enforcing and end, leaving nothing behind.
    Shutdown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "responses are made one at a time and written at once")]
pub enum Response {
    Status(Status),
    Containers(Vec<ContainerStatus>),
    Policies(Vec<PolicyStatus>),
    Explanation(Explanation),
    /// Names of system calls.
    Filter(Vec<String>),
    Event(Box<Event>),
    Done,
    Error {
        message: String,
    },
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventQuery {
    pub follow: bool,
    /// Only events of this policy.
    pub policy: Option<String>,
    /// Only events at least this severe.
    pub severity: Option<Severity>,
    /// At most so many of the kept ones, newest last; all where absent.
    pub last: Option<usize>,
}

/// "What would be decided if this container did that?"
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explain {
    /// Pod name; with `container`, chooses the workload.
    pub pod: Option<String>,
    pub container: Option<String>,
    pub activity: Attempt,
}

/// A container that has no process yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewContainer {
    /// containerd's namespace.
    pub namespace: String,
    pub id: String,
}

/// The answer, for people: which rule decides and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub workload: Workload,
    pub generation: u64,
    /// `Allowed`, or the action of the enforced rule that decides.
    pub verdict: String,
    pub enforced: Option<DecidingRule>,
    pub audited: Option<DecidingRule>,
    /// Selected policies by name, and those that were not selected, each with the selector that failed.
    pub selected: Vec<String>,
    pub not_selected: Vec<NotSelected>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecidingRule {
    pub policy: String,
    pub rule: String,
    pub action: String,
    pub severity: Severity,
    pub reason: String,
    /// How the rule is held on this node.
    pub holding: RuleHolding,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotSelected {
    pub policy: String,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub uptime_seconds: u64,
    pub driver: String,
    pub policies: usize,
    pub containers: usize,
    pub enforced_containers: usize,
    pub generation: u64,
    pub events: u64,
    /// Events lost since the start, by stage.
    pub losses: Vec<moat_event::Loss>,
    pub resident_bytes: u64,
    /// What is wrong now, in words; empty when all is well.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    pub workload: Workload,
    pub cgroup: u64,
    pub pid: u32,
    pub policies: Vec<String>,
    pub rules: usize,
    /// System calls that its seccomp filter refuses until it ends, whatever policies say by then.
    #[serde(default)]
    pub filtered: Vec<String>,
    /// Empty when the container's rules are in force; else why they are not.
    pub problem: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    pub name: String,
    pub kind: String,
    pub file: String,
    pub mode: String,
    pub labels: Labels,
    pub rules: Vec<RuleStatus>,
    pub containers: usize,
    /// Containers for which its rules cannot be put in force, and why.
    #[serde(default)]
    pub problems: Vec<String>,
    /// Set when the file on disk was refused and an older content is in force, with the diagnostic.
    pub refused: Option<String>,
    /// The document in force, as YAML.
    pub document: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleStatus {
    pub name: String,
    pub action: String,
    pub severity: Severity,
    pub holding: RuleHolding,
}

/// How a rule is held on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleHolding {
    /// `Held`, `Degraded` or `NotHeld`.
    pub state: String,
    pub driver: String,
    pub reason: String,
}

#[cfg(test)]
mod tests;
