//! The containers of this node, as their runtime knows them.
//!
//! Owns the connections to containerd, Docker and CRI-O. The agent calls [`open`] once, keeps each source's
//! [`Source::watch`] running, asks [`Source::resolve`] while a container start is held, and
//! [`Source::stop_pod`] when a policy says `KillPod`.

pub mod cgroup;
mod containerd;
mod cri;
mod docker;
mod feed;
mod grpc;
mod hint;
mod proto;

pub use hint::Hint;

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use moat_event::Workload;
use tokio::sync::mpsc;

/// What a [`Source`] is asked for, later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, RuntimeError>> + Send + 'a>>;

/// A container runtime that can be asked which containers run. Every call has a deadline of its own.
pub trait Source: fmt::Debug + Send + Sync {
    fn kind(&self) -> Kind;

    /// The Unix socket it is reached at.
    fn socket(&self) -> &Path;

    /// Name and version of the runtime, for `moat status`.
    fn version(&self) -> Answer<'_, String>;

    /// Every container that has a live first process.
    fn list(&self) -> Answer<'_, Vec<Container>>;

    /// The container that a process belongs to; `None` if the runtime knows of none. Takes a few
    /// milliseconds, at most [`RESOLVE_DEADLINE`], because the container's start is held meanwhile.
    fn resolve<'a>(&'a self, hint: &'a Hint) -> Answer<'a, Option<Container>>;

    /// A container that has no process yet, with 0 for its first one's pid. `None` if the runtime does not know it, or
    /// cannot be asked while it makes one.
    fn unborn<'a>(&'a self, id: &'a RuntimeId) -> Answer<'a, Option<Container>>;

    /// Sends what changes until the receiver is dropped. Begins with a [`Change::Resync`]; reconnects by
    /// itself, with back-off, and then sends a [`Change::Resync`] again.
    fn watch(&self, changes: mpsc::Sender<Change>) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Stops the container's pod, or the container itself if it is in none, without grace.
    /// A container that is gone already is no error.
    fn stop_pod<'a>(&'a self, container: &'a Container) -> Answer<'a, ()>;
}

/// The longest that [`Source::resolve`] takes.
pub const RESOLVE_DEADLINE: Duration = Duration::from_secs(2);

/// A container whose first process exists. It may not have executed its first program yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    pub workload: Workload,
    /// What the runtime calls it.
    pub runtime_id: RuntimeId,
    /// Its first process, in the node's pid namespace.
    pub init_pid: u32,
    /// Whether this is the sandbox of a pod (the `pause` process) and not one of its containers.
    pub sandbox: bool,
    /// The runtime's id of the pod's sandbox; `None` outside a pod.
    pub sandbox_id: Option<String>,
}

/// A container's id is unique within one namespace of its runtime only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuntimeId {
    /// containerd's namespace (`k8s.io`, `default`, `moby` …); empty for Docker and CRI-O, which have none.
    pub namespace: String,
    pub id: String,
}

/// What happened to the containers. Applying one twice must be harmless: a change that happens while the
/// list is read may arrive both in the [`Change::Resync`] and after it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "changes are few, and read at once")]
pub enum Change {
    /// A container's first process exists. containerd says so before its first program is started, Docker
    /// just after, CRI-O within a second.
    Created(Container),
    /// A container's first process ended.
    Died(RuntimeId),
    /// All containers, after a connection was made. What is not in it has ended.
    Resync(Vec<Container>),
    /// The connection is lost, or could not be made; reconnecting goes on.
    Unreachable { reason: String },
}

/// The runtimes that are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Containerd,
    Docker,
    /// CRI-O, or any other runtime that speaks only the Kubernetes Container Runtime Interface.
    Crio,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Containerd, Kind::Docker, Kind::Crio];

    pub fn name(self) -> &'static str {
        match self {
            Kind::Containerd => "containerd",
            Kind::Docker => "docker",
            Kind::Crio => "crio",
        }
    }

    /// Where the runtime listens unless it is told otherwise.
    pub fn default_socket(self) -> &'static Path {
        Path::new(match self {
            Kind::Containerd => "/run/containerd/containerd.sock",
            Kind::Docker => "/var/run/docker.sock",
            Kind::Crio => "/var/run/crio/crio.sock",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(
        "no container runtime found: none of {} exists; name one with --runtime and --socket",
        Kind::ALL.map(|kind| kind.default_socket().display().to_string()).join(", ")
    )]
    NotFound,
    #[error("cannot connect to {kind} at {}: {reason}; is it running?", socket.display())]
    Connect { kind: Kind, socket: PathBuf, reason: String },
    #[error("{kind} did not answer {call} within {} ms", deadline.as_millis())]
    Deadline { kind: Kind, call: &'static str, deadline: Duration },
    #[error("{kind} refused {call}: {reason}")]
    Refused { kind: Kind, call: &'static str, reason: String },
    #[error("{kind} answered {call} with something unreadable: {reason}")]
    Malformed { kind: Kind, call: &'static str, reason: String },
}

/// Connects to the runtime that is named, or else to every one whose socket exists in its usual place; a node
/// with Docker has containerd, too, and each then reports its own containers.
pub fn open(kind: Option<Kind>, socket: Option<&Path>) -> Result<Vec<Arc<dyn Source>>, RuntimeError> {
    if kind.is_some() || socket.is_some() {
        let kind = kind.unwrap_or(Kind::Containerd);
        return Ok(vec![connect(kind, socket.unwrap_or(kind.default_socket()), &[])]);
    }
    let found: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.default_socket().exists()).collect();
    if found.is_empty() {
        return Err(RuntimeError::NotFound);
    }
    // Docker knows more of its containers than the containerd under it.
    let except: &[&str] = if found.contains(&Kind::Docker) { &[docker::CONTAINERD_NAMESPACE] } else { &[] };
    Ok(found.into_iter().map(|kind| connect(kind, kind.default_socket(), except)).collect())
}

fn connect(kind: Kind, socket: &Path, except: &[&str]) -> Arc<dyn Source> {
    match kind {
        Kind::Containerd => Arc::new(containerd::Containerd::new(socket, except)),
        Kind::Docker => Arc::new(docker::Docker::new(socket)),
        Kind::Crio => Arc::new(cri::Crio::new(socket)),
    }
}

#[cfg(test)]
mod tests;
