//! The agent's parts against the real thing.
#![expect(clippy::unwrap_used, reason = "the functions that tests share fail as tests do")]

mod agent;
mod console;
mod filter;
mod runtime;
