//! The words for what a process does, shared by policies, kernel records and events.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FileOperation {
    /// Open for reading.
    Read,
    /// Open for writing or appending.
    Write,
    /// A new name for a new object: `open(O_CREAT)`, `mkdir`, `mknod`, `symlink`.
    Create,
    /// `unlink`, `rmdir`.
    Delete,
    /// `rename`, judged for the old and for the new name.
    Rename,
    Chmod,
    Chown,
    /// `link`, judged for the existing and for the new name.
    Link,
    /// `truncate`, `ftruncate`, `open(O_TRUNC)`.
    Truncate,
    /// `setxattr`, `removexattr`.
    SetXattr,
}

/// Where an executed file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum FileSource {
    /// The container's image.
    #[default]
    Image,
    /// Written or changed since the start, or on another file system.
    Added,
    /// No name in any directory: memfd, `O_TMPFILE`, deleted.
    Fileless,
}

impl FileOperation {
    pub const ALL: [FileOperation; 10] = [
        FileOperation::Read,
        FileOperation::Write,
        FileOperation::Create,
        FileOperation::Delete,
        FileOperation::Rename,
        FileOperation::Chmod,
        FileOperation::Chown,
        FileOperation::Link,
        FileOperation::Truncate,
        FileOperation::SetXattr,
    ];

    pub fn name(self) -> &'static str {
        match self {
            FileOperation::Read => "Read",
            FileOperation::Write => "Write",
            FileOperation::Create => "Create",
            FileOperation::Delete => "Delete",
            FileOperation::Rename => "Rename",
            FileOperation::Chmod => "Chmod",
            FileOperation::Chown => "Chown",
            FileOperation::Link => "Link",
            FileOperation::Truncate => "Truncate",
            FileOperation::SetXattr => "SetXattr",
        }
    }
}

impl fmt::Display for FileOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which way a connection goes, seen from the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// The workload connects or sends.
    Egress,
    /// A peer connects or sends to the workload.
    Ingress,
    /// The workload binds a local port, or listens on it.
    Listen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    Tcp,
    Udp,
    /// What a raw or packet socket sends: any protocol, written by the workload itself.
    #[serde(rename = "Raw")]
    Raw,
}

impl Protocol {
    /// The protocol's number (RFC 9293, RFC 768; the IANA protocol numbers registry). Raw sockets have that of
    /// the header which they write themselves, `IPPROTO_RAW` of in.h.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Raw => 255,
        }
    }

    /// The name as it stands in events.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Raw => "Raw",
        }
    }
}

/// How a process came to be in its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Origin {
    /// The container's own first process, or one that descends from it.
    Entrypoint,
    /// A process put into the running container from outside (`kubectl exec`, `docker exec`), or one
    /// that descends from it.
    ExecSession,
}
