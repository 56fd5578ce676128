//! What a process attempts, as the evaluator sees it. Paths are the container's own, absolute and
//! without symbolic links; strings are bytes, for the kernel's are.

use std::net::IpAddr;

pub use moat_event::FileSource;
use moat_event::{Direction, FileOperation, Origin, Protocol};

/// One attempted act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity<'a> {
    Exec(Exec<'a>),
    File(FileAccess<'a>),
    Connect(Connect),
    /// A system call by its name.
    Syscall(&'a str),
    /// The use of a Linux capability by its name, without `CAP_`.
    Capability(&'a str),
}

/// Who acts: the process before the act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actor<'a> {
    pub executable: &'a [u8],
    /// In the container's user namespace.
    pub uid: u32,
}

/// `execve` of a program. A script is judged twice: as itself, and as its interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exec<'a> {
    pub path: &'a [u8],
    /// `argv`, each with its terminating NUL, as in `/proc/PID/cmdline`; `None` where the judge cannot see it yet.
    pub arguments: Option<&'a [u8]>,
    /// Executables of the ancestors within the container, parent first.
    pub ancestors: &'a [&'a [u8]],
    pub uid: u32,
    pub origin: Origin,
    pub source: FileSource,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileAccess<'a> {
    pub path: &'a [u8],
    pub operation: FileOperation,
    pub actor: Actor<'a>,
}

/// A connection, a local port that is taken for one, or a socket that needs neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    pub direction: Direction,
    /// A raw or packet socket is judged when it is made: for egress, with neither address nor port.
    pub protocol: Protocol,
    /// For [`Direction::Listen`], the local address. IPv4-mapped IPv6 addresses are the IPv4 address.
    pub peer: IpAddr,
    /// The peer's port for egress, the workload's own otherwise.
    pub port: u16,
}
