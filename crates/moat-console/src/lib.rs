//! The console: what many nodes talk to and people look at.
#![forbid(unsafe_code)]

pub mod key;
pub mod notify;
