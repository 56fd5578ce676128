//! What `moat-enforcer probe --json` prints, as `moat doctor` reads it. The agent writes the same shape from
//! `moat_kernel::Capabilities`; the command line does not depend on that crate.

use serde::{Deserialize, Serialize};

/// What probing found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    pub kernel_release: String,
    /// The driver that would be used: `lsm` or `guard`.
    pub driver: String,
    pub entries: Vec<Capability>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// Stable identifier, e.g. `exec-refuse`.
    pub name: String,
    /// What a person gains by it.
    pub summary: String,
    pub available: bool,
    /// `lsm`, `guard` or `observe`; empty where unavailable.
    pub driver: String,
    /// How it is held, or what is missing and how to get it.
    pub detail: String,
}
