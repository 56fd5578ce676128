//! An act that can be written down and judged later: what somebody asks about, and what was recorded.

use std::net::IpAddr;

use moat_event::{Direction, Event, EventType, FileOperation, FileSource, Origin, Protocol};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::activity::{Activity, Actor, Connect, Exec, FileAccess};
use crate::argv;

/// An [`Activity`] that owns what it is made of. A user that is not named is root: what holds root holds everybody whom
/// a rule's `users` do not name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Attempt {
    Exec {
        path: String,
        /// Absent where they are not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Vec<String>>,
        user: Option<u32>,
        /// Executables of the ancestors, parent first.
        parents: Vec<String>,
        origin: Origin,
        #[serde(default)]
        source: FileSource,
    },
    File {
        path: String,
        operation: FileOperation,
        executable: String,
        user: Option<u32>,
    },
    /// As in [`moat_event::Peer`].
    Connect {
        direction: Direction,
        protocol: Protocol,
        address: IpAddr,
        port: u16,
    },
    Syscall {
        name: String,
    },
    /// As a policy names it, without `CAP_`.
    Capability {
        name: String,
    },
}

impl Attempt {
    /// The act that an event tells of; `None` where it does not tell which act it was, as of many that were collapsed
    /// into one event.
    pub fn of(event: &Event) -> Option<Attempt> {
        let process = event.process.as_ref();
        let user = process.map(|process| process.uid);
        match event.event_type {
            EventType::ProcessExec | EventType::Drift => {
                let process = process?;
                let known = !process.arguments_truncated && !process.arguments.is_empty();
                Some(Attempt::Exec {
                    path: event.file_path.clone()?,
                    arguments: known.then(|| process.arguments.clone()),
                    user,
                    parents: Some(process.parent.clone())
                        .filter(|parent| !parent.is_empty())
                        .into_iter()
                        .collect(),
                    origin: process.origin.unwrap_or(Origin::Entrypoint),
                    source: event.file_source.unwrap_or_default(),
                })
            }
            EventType::FileAccess => Some(Attempt::File {
                path: event.file_path.clone()?,
                operation: event.file_operation?,
                executable: process?.executable.clone(),
                user,
            }),
            EventType::NetworkConnection => event.peer.as_ref().map(|peer| Attempt::Connect {
                direction: peer.direction,
                protocol: peer.protocol,
                address: peer.address,
                port: peer.port,
            }),
            EventType::Syscall => event.syscall.clone().map(|name| Attempt::Syscall { name }),
            EventType::PrivilegedOperation => {
                event.capability.clone().map(|name| Attempt::Capability { name })
            }
            EventType::FileIntegrity
            | EventType::AnomalousBehavior
            | EventType::Admission
            | EventType::ImageScan
            | EventType::Compliance
            | EventType::Audit
            | EventType::System => None,
        }
    }

    /// Passes the act to `judge` as the evaluator sees it.
    pub fn judged<T>(&self, judge: impl FnOnce(&Activity<'_>) -> T) -> T {
        match self {
            Attempt::Exec { path, arguments, user, parents, origin, source } => {
                let arguments = arguments.as_deref().map(argv);
                let ancestors: Vec<&[u8]> = parents.iter().map(String::as_bytes).collect();
                judge(&Activity::Exec(Exec {
                    path: path.as_bytes(),
                    arguments: arguments.as_deref(),
                    ancestors: &ancestors,
                    uid: user.unwrap_or(0),
                    origin: *origin,
                    source: *source,
                }))
            }
            Attempt::File { path, operation, executable, user } => judge(&Activity::File(FileAccess {
                path: path.as_bytes(),
                operation: *operation,
                actor: Actor { executable: executable.as_bytes(), uid: user.unwrap_or(0) },
            })),
            Attempt::Connect { direction, protocol, address, port } => judge(&Activity::Connect(Connect {
                direction: *direction,
                protocol: *protocol,
                peer: address.to_canonical(),
                port: *port,
            })),
            Attempt::Syscall { name } => judge(&Activity::Syscall(name)),
            Attempt::Capability { name } => judge(&Activity::Capability(name)),
        }
    }
}
