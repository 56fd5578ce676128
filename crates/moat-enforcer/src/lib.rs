#![doc = "placeholder"]
#![forbid(unsafe_code)]
pub mod events;
pub mod runtime;
