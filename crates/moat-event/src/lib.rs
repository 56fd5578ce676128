//! The vocabulary that every part of Moat shares: what happened ([`Event`]), to whom ([`Workload`]),
//! by which process ([`Process`]), and how bad it is ([`Severity`]).
//!
//! Pure data: no clock, no files, no sockets. The JSON of [`Event`] is a public contract; fields are
//! added, never renamed or removed.
#![forbid(unsafe_code)]

pub mod escape;
mod event;
mod operation;
mod severity;
mod workload;

pub use escape::printable;
pub use event::{Event, EventAction, EventType, Loss, LossStage, Peer, Process};
pub use operation::{Direction, FileOperation, FileSource, Origin, Protocol};
pub use severity::Severity;
pub use workload::{Labels, Workload};
