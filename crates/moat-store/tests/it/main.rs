//! The contract: everything here holds over SQLite and over PostgreSQL alike.
#![expect(clippy::unwrap_used, reason = "a test ends with whatever goes wrong")]

mod access;
mod audit;
mod backup;
mod enforcers;
mod engine;
mod events;
mod faults;
mod inventory;
mod policies;
mod replicas;
mod retention;
