//! Notifiers: send events on to where people already look.
//!
//! [`encode`] says an event in a receiver's words, [`sink`] brings it there, [`deliver`] tries until it is there or
//! given up, and [`Engine`] keeps each notifier's place among the events, so that every event that passes its filter
//! arrives at least once or becomes a dead letter.

pub mod back_off;
pub mod config;
pub mod deliver;
pub mod destination;
pub mod egress;
pub mod encode;
mod engine;
pub mod filter;
mod lease;
#[cfg(test)]
mod receivers;
pub mod sink;
pub mod status;
mod trial;
mod worker;

pub use deliver::Pace;
pub use engine::{Engine, Misconfigured};
pub use trial::{TEST_DEADLINE, TestReport, test};
