//! What Moat's programs say to each other.
#![forbid(unsafe_code)]

pub mod control;
