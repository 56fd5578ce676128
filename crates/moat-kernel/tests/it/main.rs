//! The guard against the real kernel and real containers.

mod guard;
mod node;
mod observations;
mod observe;
