//! The agent's parts against the real thing.

mod runtime;
