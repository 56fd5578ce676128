//! What `moat-enforcer cleanup --json` prints: the last words of an uninstall.

use serde::{Deserialize, Serialize};

/// What of Moat was found in the kernel after the agent's end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// Removed now: programs, maps, pins, marks, control groups; each in words.
    pub removed: Vec<String>,
    /// Still there, each with the reason.
    pub left: Vec<String>,
}
