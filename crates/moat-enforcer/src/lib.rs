#![doc = "placeholder"]
pub mod runtime;
