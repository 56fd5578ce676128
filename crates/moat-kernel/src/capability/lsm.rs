//! How the LSM driver holds a rule: before the act, wherever the kernel has the hook.

use moat_event::{Direction, FileOperation, Protocol};
use moat_policy::EffectiveRule;
use moat_policy::model::{FileMatcher, NetworkMatcher, RuleAction};
use moat_policy::rule_set::Matcher;

use super::{Capabilities, Holding, name};
use crate::programs::calls;

/// Hooks that an operation on files is judged at. One in each group must be there.
const OPERATIONS: &[(FileOperation, &[&[&str]])] = &[
    (FileOperation::Read, &[&["file_open"]]),
    (FileOperation::Write, &[&["file_open"]]),
    (FileOperation::Create, &[&["path_mknod"], &["path_mkdir"], &["path_symlink"]]),
    (FileOperation::Delete, &[&["path_unlink"], &["path_rmdir"]]),
    (FileOperation::Rename, &[&["path_rename"]]),
    (FileOperation::Chmod, &[&["path_chmod"]]),
    (FileOperation::Chown, &[&["path_chown", "inode_setattr"]]),
    (FileOperation::Link, &[&["path_link"]]),
    // Before 6.2 the path is judged for open files, too.
    (FileOperation::Truncate, &[&["path_truncate"]]),
    (FileOperation::SetXattr, &[&["inode_setxattr"], &["inode_removexattr"]]),
];

impl Capabilities {
    pub(super) fn by_lsm(&self, rule: &EffectiveRule) -> Holding {
        let (needed, how): (Vec<&[&str]>, &str) = match &rule.matcher {
            Matcher::Process(_) => (vec![&["bprm_check_security"]], "execve fails with EPERM"),
            Matcher::Drift(_) => return self.drift_by_lsm(),
            Matcher::File(matcher) => (hooks_of(matcher), "the operation fails with EPERM"),
            Matcher::Network(matcher) => return self.network_by_lsm(matcher),
            Matcher::Syscalls(names) => return self.syscalls_by_lsm(names, rule.action),
            Matcher::Capabilities(_) => (vec![&["capable"]], "the use of the capability fails with EPERM"),
        };
        let how = if rule.action == RuleAction::Alert { "reported before the act" } else { how };
        self.at_hooks(&needed, how)
    }

    fn at_hooks(&self, needed: &[&[&str]], how: &str) -> Holding {
        let has = |group: &[&str]| group.iter().any(|hook| self.hooks.iter().any(|present| present == hook));
        let missing: Vec<&str> =
            needed.iter().filter(|group| !has(group)).filter_map(|group| group.first().copied()).collect();
        let driver = String::from("lsm");
        match (missing.as_slice(), self.gap.as_str()) {
            ([], "") => Holding::Held { driver, detail: how.to_owned() },
            ([], gap) => Holding::Degraded { driver, reason: format!("{how}; but {gap}") },
            (missing, _) if missing.len() == needed.len() => {
                Holding::NotHeld { reason: format!("nothing judges at the hook {}", missing.join(", ")) }
            }
            (missing, _) => Holding::Degraded {
                driver,
                reason: format!("{how}; but nothing judges at the hook {}", missing.join(", ")),
            },
        }
    }

    /// By the hooks that a call cannot get past; others are watched as they begin, as in guard.
    fn syscalls_by_lsm(&self, names: &[String], action: RuleAction) -> Holding {
        if action == RuleAction::Alert {
            return self.syscalls(action).by("lsm");
        }
        let row = |name: &String| calls::row(name).filter(|row| row.is_held_at(&self.hooks));
        let watched: Vec<&str> =
            names.iter().filter(|name| row(name).is_none()).map(String::as_str).collect();
        let spared: Vec<String> =
            names.iter().filter_map(|name| Some(format!("{name}: {}", row(name)?.spared?))).collect();
        if watched.len() == names.len() {
            return self.syscalls(action).by("lsm");
        }
        let mut weaker = Vec::new();
        if !watched.is_empty() {
            weaker.push(format!(
                "no hook holds {}: the process is killed as the call begins, but the call may still take effect",
                watched.join(", ")
            ));
        }
        if !spared.is_empty() {
            weaker.push(format!("no hook sees {}", spared.join("; ")));
        }
        let how = "the call fails with EPERM";
        match self.at_hooks(&[], how) {
            Holding::Held { driver, .. } if !weaker.is_empty() => {
                Holding::Degraded { driver, reason: format!("{how}; but {}", weaker.join("; ")) }
            }
            other => other,
        }
    }

    fn drift_by_lsm(&self) -> Holding {
        if !self.has(name::DRIFT) {
            return self.missing(name::DRIFT);
        }
        let needed: &[&[&str]] = &[&["bprm_check_security"], &["mmap_file"], &["file_mprotect"]];
        self.at_hooks(needed, "execve, and mapping a library, fail with EPERM")
    }

    fn network_by_lsm(&self, matcher: &NetworkMatcher) -> Holding {
        let raw = matcher.protocols.contains(&Protocol::Raw);
        let only_raw = raw && matcher.protocols.iter().all(|protocol| *protocol == Protocol::Raw);
        match matcher.direction {
            Direction::Listen => {
                self.at_hooks(&[&["socket_bind"], &["socket_listen"]], "bind and listen fail with EPERM")
            }
            _ if only_raw => self.at_hooks(&[&["socket_create"]], "the socket fails with EPERM"),
            // By programs of the container's cgroup, as in guard.
            _ if raw && !self.hooks.iter().any(|hook| hook == "socket_create") => {
                self.network(matcher).by("lsm")
            }
            _ => {
                let protocols =
                    matcher.protocols.iter().copied().filter(|protocol| *protocol != Protocol::Raw).collect();
                self.network(&NetworkMatcher { protocols, ..matcher.clone() }).by("lsm")
            }
        }
    }
}

fn hooks_of(matcher: &FileMatcher) -> Vec<&'static [&'static str]> {
    OPERATIONS
        .iter()
        .filter(|(operation, _)| matcher.operations.contains(operation))
        .flat_map(|(_, hooks)| hooks.iter().copied())
        .collect()
}

impl Holding {
    fn by(self, name: &str) -> Holding {
        let driver = name.to_owned();
        match self {
            Holding::Held { detail, .. } => Holding::Held { driver, detail },
            Holding::Degraded { reason, .. } => Holding::Degraded { driver, reason },
            not_held @ Holding::NotHeld { .. } => not_held,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use moat_event::Severity;

    use super::*;

    fn rule(matcher: Matcher) -> EffectiveRule {
        EffectiveRule {
            policy: "p".into(),
            rule: "r".into(),
            severity: Severity::High,
            action: RuleAction::Block,
            enforced: true,
            matcher,
        }
    }

    fn files(operations: &[FileOperation]) -> Matcher {
        Matcher::File(Arc::new(FileMatcher {
            paths: vec![String::from("/etc/**")],
            operations: operations.to_vec(),
            processes: Vec::new(),
            users: Vec::new(),
            except: None,
        }))
    }

    fn capabilities(hooks: &[&str]) -> Capabilities {
        Capabilities {
            driver: String::from("lsm"),
            hooks: hooks.iter().map(ToString::to_string).collect(),
            ..Capabilities::default()
        }
    }

    #[test]
    fn a_missing_hook_is_named() {
        let all = capabilities(&["file_open", "path_unlink", "path_rmdir", "inode_setattr"]);
        let both = rule(files(&[FileOperation::Read, FileOperation::Delete]));
        assert!(matches!(all.holding(&both), Holding::Held { .. }));
        let fewer = capabilities(&["file_open", "path_unlink"]);
        assert!(
            matches!(fewer.holding(&both), Holding::Degraded { reason, .. } if reason.contains("path_rmdir"))
        );
        let rename = rule(files(&[FileOperation::Rename]));
        assert!(
            matches!(all.holding(&rename), Holding::NotHeld { reason } if reason.contains("path_rename"))
        );
        // By what stands in for its hook.
        assert!(matches!(all.holding(&rule(files(&[FileOperation::Chown]))), Holding::Held { .. }));
    }

    #[test]
    fn every_operation_has_hooks() {
        let listed: Vec<_> = OPERATIONS.iter().map(|(operation, _)| *operation).collect();
        assert_eq!(listed, FileOperation::ALL);
    }

    #[test]
    fn programs_that_are_skipped_hold_nothing_fully() {
        let skipping = Capabilities { gap: String::from("it skips"), ..capabilities(&["file_open"]) };
        let read = rule(files(&[FileOperation::Read]));
        assert!(
            matches!(skipping.holding(&read), Holding::Degraded { reason, .. } if reason.contains("it skips"))
        );
    }

    #[test]
    fn system_calls_are_held_by_the_table() {
        let names = |names: &[&str]| rule(Matcher::Syscalls(names.iter().map(ToString::to_string).collect()));
        let hooks = capabilities(&["ptrace_access_check", "ptrace_traceme"]);
        assert!(
            matches!(hooks.holding(&names(&["ptrace"])), Holding::Held { driver, .. } if driver == "lsm")
        );
        let both = hooks.holding(&names(&["ptrace", "getpid"]));
        assert!(matches!(both, Holding::Degraded { reason, .. } if reason.contains("no hook holds getpid")));
    }

    #[test]
    fn capabilities_are_held_where_their_hook_is() {
        let matcher = || Matcher::Capabilities([String::from("BPF")].into());
        assert!(matches!(capabilities(&["capable"]).holding(&rule(matcher())), Holding::Held { .. }));
        assert!(matches!(capabilities(&[]).holding(&rule(matcher())), Holding::NotHeld { .. }));
    }
}
