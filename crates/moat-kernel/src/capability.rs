//! What this kernel can hold, and how a given rule is held.

use moat_event::{Direction, FileOperation, Protocol};
use moat_policy::EffectiveRule;
use moat_policy::model::{DriftMatcher, FileMatcher, NetworkMatcher, ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use serde::{Deserialize, Serialize};

/// Stable identifiers of capabilities.
pub mod name {
    pub const LSM: &str = "bpf-lsm";
    pub const EXEC_REFUSE: &str = "exec-refuse";
    pub const EXEC_KILL: &str = "exec-kill";
    pub const START: &str = "container-start";
    pub const FILE_OPEN: &str = "file-open";
    pub const FILE_CHANGE: &str = "file-change";
    pub const SYSCALL: &str = "system-calls";
    pub const EGRESS: &str = "network-egress";
    pub const INGRESS: &str = "network-ingress";
    pub const DRIFT: &str = "drift";
    pub const PINS: &str = "pins";
    pub const OBSERVE: &str = "observations";
    /// Named only where the kernel is without.
    pub const LOOPS: &str = "loops";
    /// Before the name of a hook of the LSM that this kernel is without.
    pub const HOOK: &str = "hook-";
}

/// What probing found. Each is available only where a program or mark was really placed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    pub kernel_release: String,
    /// The driver that this is about: `lsm` or `guard`.
    pub driver: String,
    /// Hooks of the LSM at which it judges.
    pub hooks: Vec<String>,
    /// Why its programs do not always run; empty where they do.
    pub gap: String,
    pub entries: Vec<Capability>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// One of [`name`].
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// As written; the detail says by what.
    Held { driver: String, detail: String },
    /// Not fully as written; the reason says what is weaker.
    Degraded { driver: String, reason: String },
    /// Not at all.
    NotHeld { reason: String },
}

impl Capabilities {
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name && entry.available)
    }

    fn missing(&self, name: &str) -> Holding {
        let detail = self.entries.iter().find(|entry| entry.name == name).map(|entry| entry.detail.as_str());
        Holding::NotHeld { reason: detail.unwrap_or("this kernel was not probed for it").to_owned() }
    }

    /// How `rule` is held here.
    pub fn holding(&self, rule: &EffectiveRule) -> Holding {
        let by_lsm = self.driver == "lsm";
        let holding = match &rule.matcher {
            _ if by_lsm => self.by_lsm(rule),
            Matcher::Process(matcher) => self.process(matcher, rule.action),
            Matcher::Drift(matcher) => self.drift(matcher),
            Matcher::File(matcher) => self.file(matcher, rule.action),
            Matcher::Network(matcher) => self.network(matcher),
            Matcher::Syscalls(_) => self.syscalls(rule.action),
            Matcher::Capabilities(_) => {
                not_held("seeing a process use a capability needs a kernel with BPF LSM")
            }
        };
        match (rule.action, holding) {
            (RuleAction::Quarantine, Holding::Held { driver, detail }) => Holding::Degraded {
                driver,
                reason: format!("{detail}; then new connections are refused, but established ones go on"),
            },
            (_, holding) => holding,
        }
    }

    fn process(&self, matcher: &ProcessMatcher, action: RuleAction) -> Holding {
        if !self.has(name::EXEC_KILL) {
            return if self.has(name::EXEC_REFUSE)
                && matcher.args_regex.is_none()
                && action != RuleAction::Alert
            {
                held("execve fails with EPERM")
            } else {
                self.missing(name::EXEC_KILL)
            };
        }
        if action == RuleAction::Alert {
            return held("reported before the program's first instruction");
        }
        if matcher.args_regex.is_some() || !self.has(name::EXEC_REFUSE) {
            return held("the program is killed before its first instruction");
        }
        held("execve fails with EPERM")
    }

    fn drift(&self, matcher: &DriftMatcher) -> Holding {
        if !self.has(name::EXEC_KILL) {
            return self.missing(name::EXEC_KILL);
        }
        if matcher.execute && !self.has(name::DRIFT) {
            return self.missing(name::DRIFT);
        }
        degraded(
            "programs are killed before their first instruction; libraries that a program of the image loads, and \
             scripts that its interpreters read, are not judged",
        )
    }

    fn file(&self, matcher: &FileMatcher, action: RuleAction) -> Holding {
        let (opened, changed): (Vec<FileOperation>, Vec<FileOperation>) = matcher
            .operations
            .iter()
            .partition(|operation| matches!(operation, FileOperation::Read | FileOperation::Write));
        if !opened.is_empty() && !self.has(name::FILE_OPEN) {
            return self.missing(name::FILE_OPEN);
        }
        if !changed.is_empty() && !self.has(name::FILE_CHANGE) {
            return self.missing(name::FILE_CHANGE);
        }
        if changed.is_empty() {
            return held("open fails with EPERM");
        }
        if action == RuleAction::Alert {
            return held("reported as it happens");
        }
        let names: Vec<&str> = changed.iter().map(|operation| operation.name()).collect();
        let after =
            if action >= RuleAction::KillProcess { "and the process is killed" } else { "not refused" };
        degraded(&format!(
            "{} is reported after it took effect, {after}, and by the path that the caller wrote: one that leads through \
             a link is missed; refusing it needs a kernel with BPF LSM",
            names.join(", ")
        ))
    }

    fn network(&self, matcher: &NetworkMatcher) -> Holding {
        let needed = match matcher.direction {
            Direction::Egress => name::EGRESS,
            Direction::Ingress => name::INGRESS,
            Direction::Listen => return not_held("judging bind and listen needs a kernel with BPF LSM"),
        };
        let raw = matcher.protocols.contains(&Protocol::Raw);
        if raw && matcher.protocols.iter().all(|protocol| *protocol == Protocol::Raw) {
            return not_held(RAW);
        }
        if !self.has(needed) {
            return self.missing(needed);
        }
        let how = match needed {
            name::EGRESS => "connect and sendto fail with EPERM",
            _ => "arriving packets are dropped",
        };
        if raw { degraded(&format!("{how}; but {RAW}")) } else { held(how) }
    }

    fn syscalls(&self, action: RuleAction) -> Holding {
        if !self.has(name::SYSCALL) {
            return self.missing(name::SYSCALL);
        }
        if action == RuleAction::Alert {
            return held("reported as the call begins");
        }
        degraded(
            "the process is killed as the call begins, but the call may still take effect, and 32-bit calls on a \
             64-bit kernel are not seen; refusing it needs a kernel with BPF LSM",
        )
    }
}

/// Why guard does not hold `protocols: [Raw]`.
const RAW: &str = "seeing raw and packet sockets needs a kernel with BPF LSM";

fn not_held(reason: &str) -> Holding {
    Holding::NotHeld { reason: reason.to_owned() }
}

fn held(detail: &str) -> Holding {
    Holding::Held { driver: String::from("guard"), detail: detail.to_owned() }
}

fn degraded(reason: &str) -> Holding {
    Holding::Degraded { driver: String::from("guard"), reason: reason.to_owned() }
}

mod filter;
mod lsm;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moat_event::Severity;

    use super::*;

    fn network(direction: Direction, protocols: &[Protocol]) -> Matcher {
        Matcher::Network(Arc::new(NetworkMatcher {
            direction,
            cidrs: Vec::new(),
            ports: Vec::new(),
            protocols: protocols.to_vec(),
            except: None,
        }))
    }

    #[test]
    fn what_only_bpf_lsm_sees_is_not_said_to_be_held() {
        use Protocol::{Raw, Tcp};

        let entry = |name: &str| Capability {
            name: name.to_owned(),
            summary: String::new(),
            available: true,
            driver: String::from("guard"),
            detail: String::new(),
        };
        let entries = [name::EGRESS, name::INGRESS].map(entry).to_vec();
        let capabilities = Capabilities { entries, ..Capabilities::default() };
        for (matcher, state) in [
            (Matcher::Capabilities([String::from("BPF")].into()), "NotHeld"),
            (network(Direction::Listen, &[]), "NotHeld"),
            (network(Direction::Egress, &[Raw]), "NotHeld"),
            (network(Direction::Egress, &[Tcp, Raw]), "Degraded"),
            (network(Direction::Egress, &[]), "Held"),
            (network(Direction::Ingress, &[Tcp]), "Held"),
        ] {
            let rule = EffectiveRule {
                policy: "p".into(),
                rule: "r".into(),
                severity: Severity::High,
                action: RuleAction::Block,
                enforced: true,
                matcher,
            };
            let (found, reason) = match capabilities.holding(&rule) {
                Holding::Held { detail, .. } => ("Held", detail),
                Holding::Degraded { reason, .. } => ("Degraded", reason),
                Holding::NotHeld { reason } => ("NotHeld", reason),
            };
            assert_eq!(found, state, "{:?}: {reason}", rule.matcher);
            assert_eq!(reason.contains("BPF LSM"), state != "Held", "{reason}");
        }
    }
}
