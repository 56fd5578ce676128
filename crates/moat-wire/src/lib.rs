//! What Moat's programs say to each other.
#![forbid(unsafe_code)]

pub mod cleanup;
pub mod control;
pub mod doctor;
pub mod json;
pub mod state;
