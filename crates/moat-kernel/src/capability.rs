//! What this kernel can hold, and how a given rule is held.

use moat_policy::EffectiveRule;
use moat_policy::rule_set::Matcher;
use serde::{Deserialize, Serialize};

/// What probing found. Each is true only where a program or mark was really placed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    pub kernel_release: String,
    pub entries: Vec<Capability>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// Stable identifier, e.g. `exec-refuse`, `exec-kill`, `file-open`, `network-egress`, `bpf-lsm`.
    pub name: String,
    /// What a person gains by it.
    pub summary: String,
    pub available: bool,
    /// The driver that holds it: `lsm`, `guard`, `observe`; empty where unavailable.
    pub driver: String,
    /// How it is held, or what is missing and how to get it.
    pub detail: String,
}

/// How one rule is held on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum Holding {
    /// As written, by this driver.
    Held { driver: String },
    /// Not fully as written; the reason says what is weaker.
    Degraded { driver: String, reason: String },
    /// Not at all.
    NotHeld { reason: String },
}

impl Capabilities {
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name && entry.available)
    }

    /// How `rule` is held here.
    pub fn holding(&self, rule: &EffectiveRule) -> Holding {
        let _ = &rule.matcher as &Matcher;
        Holding::NotHeld { reason: String::from("no driver is loaded") }
    }
}
