//! What drivers report: bytes as the kernel gave them, not yet enriched.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use moat_event::{Direction, FileOperation, Origin, Protocol};
use moat_policy::activity::FileSource;

/// One thing that a rule spoke about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// [`crate::ContainerScope::cgroup`] of the container it happened in.
    pub cgroup: u64,
    /// Generation of the rule set that decided.
    pub generation: u64,
    /// Index, in that rule set, of the enforced rule that matched.
    pub enforced: Option<usize>,
    /// Index, in that rule set, of the audited rule that matched.
    pub audited: Option<usize>,
    pub outcome: Outcome,
    pub process: RawProcess,
    pub act: Act,
    /// How many identical acts this record stands for.
    pub count: u64,
}

/// What became of the act. Counted where the verdict is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It went ahead.
    Allowed,
    /// The caller got EPERM.
    Denied,
    /// The process was killed before it could go on.
    Killed,
    /// The act took effect; the process was killed after it.
    KilledAfter,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawProcess {
    /// Process (thread group), in the node's pid namespace.
    pub pid: u32,
    pub parent_pid: u32,
    /// In the node's user namespace.
    pub uid: u32,
    pub executable: Vec<u8>,
    /// `argv`, each with its terminating NUL.
    pub arguments: Vec<u8>,
    pub arguments_truncated: bool,
    pub cwd: Vec<u8>,
    pub parent_executable: Vec<u8>,
    pub origin: Option<Origin>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Act {
    Exec {
        path: Vec<u8>,
        source: FileSource,
    },
    File {
        path: Vec<u8>,
        operation: FileOperation,
    },
    /// As in [`moat_policy::activity::Connect`].
    Connect {
        direction: Direction,
        protocol: Protocol,
        peer: IpAddr,
        port: u16,
    },
    /// A system call by its name.
    Syscall {
        name: &'static str,
    },
    /// The use of a Linux capability by its name, without `CAP_`.
    Capability {
        name: &'static str,
    },
    /// An act on Moat itself, that is refused whatever the rules say: no rule is named.
    Tampering {
        /// What the container tried to do.
        what: &'static str,
    },
    /// More of what a rule already spoke about, above what a container may report in detail.
    Repeated,
}

/// Something that a container did, whether or not a rule speaks of it: an execution or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// As in [`Record`].
    pub cgroup: u64,
    /// Of a connection, only who it is.
    pub process: RawProcess,
    pub act: Act,
    /// How often, since it was told last.
    pub count: u64,
}

/// What can stand for several alike.
pub trait Counted {
    fn count(&self) -> u64;
}

impl Counted for Record {
    fn count(&self) -> u64 {
        self.count
    }
}

impl Counted for Observation {
    fn count(&self) -> u64 {
        self.count
    }
}

/// Where drivers put what they report. Never blocks: what does not fit is counted.
#[derive(Debug, Clone)]
pub struct Sink<T = Record> {
    queue: SyncSender<T>,
    lost: Arc<AtomicU64>,
}

impl<T: Counted> Sink<T> {
    pub fn new(queue: SyncSender<T>) -> Sink<T> {
        Sink { queue, lost: Arc::new(AtomicU64::new(0)) }
    }

    pub fn put(&self, what: T) {
        let count = what.count();
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.queue.try_send(what) {
            self.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// How much was lost since the start because the queue was full.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
