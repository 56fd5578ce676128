//! What Moat's programs say to each other: the agent's control socket, and the gateway between enforcers and
//! the console with its tokens and certificates.
#![forbid(unsafe_code)]

pub mod authority;
pub mod certificate;
pub mod cleanup;
pub mod control;
pub mod doctor;
pub mod gateway;
pub mod json;
pub mod state;
pub mod token;
