//! Notifiers: send events on to where people already look.
//!
//! [`encode`] says an event in a receiver's words, [`sink`] brings it there, and the engine keeps each notifier's place
//! among the events, so that every event that passes its filter arrives at least once or becomes a dead letter.

pub mod back_off;
pub mod deliver;
pub mod destination;
pub mod egress;
pub mod encode;
pub mod filter;
#[cfg(test)]
mod receivers;
pub mod sink;
