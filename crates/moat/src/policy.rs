//! `moat policy …`.

pub mod explain;
mod files;
pub mod list;
mod offline;
pub mod show;
pub mod validate;
