//! The contract: everything here holds over SQLite and over PostgreSQL alike.

mod access;
mod audit;
mod enforcers;
mod engine;
mod events;
mod policies;
