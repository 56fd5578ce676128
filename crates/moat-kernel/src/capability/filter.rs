//! System calls that nothing refuses here, and a seccomp filter of the container could: the OCI runtime sets one as it
//! makes the container, and nobody can afterwards.

use std::collections::BTreeSet;

use moat_policy::EffectiveRule;
use moat_policy::model::RuleAction;
use moat_policy::rule_set::Matcher;

use super::{Capabilities, Holding};
use crate::programs::calls;

/// What runc calls itself between its filter and the container's program. Each call that it always makes was found by
/// refusing it (1.1.5, with and without `noNewPrivileges`); the rest is what Go's scheduler may call at any time.
const OF_THE_RUNTIME: [&str; 46] = [
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clock_gettime",
    "clone",
    "clone3",
    "close",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "eventfd2",
    "execve",
    "exit",
    "exit_group",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getpid",
    "getppid",
    "gettid",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "nanosleep",
    "newfstatat",
    "openat",
    "pipe2",
    "prctl",
    "read",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "setgid",
    "setgroups",
    "setuid",
    "sigaltstack",
    "tgkill",
    "write",
];
/// libseccomp leaves out, without a word, what it does not know: 2.5.4 knows the calls of Linux 5.17, up to this number on
/// every architecture.
const LAST_KNOWN: u32 = 450;

impl Capabilities {
    /// The calls of a rule that are refused only if the container's filter refuses them.
    pub fn filterable<'a>(&self, rule: &'a EffectiveRule) -> Vec<&'a str> {
        let Matcher::Syscalls(names) = &rule.matcher else { return Vec::new() };
        if !rule.enforced || rule.action == RuleAction::Alert {
            return Vec::new();
        }
        let hooked = |name: &str| calls::row(name).is_some_and(|row| row.is_held_at(&self.hooks));
        let known = |name: &str| calls::number(name).is_some_and(|number| number <= LAST_KNOWN);
        let names = names.iter().map(String::as_str);
        names.filter(|name| !hooked(name) && known(name) && !OF_THE_RUNTIME.contains(name)).collect()
    }

    /// How `rule` is held in containers whose filters all refuse `filtered`.
    pub fn holding_with(&self, rule: &EffectiveRule, filtered: &BTreeSet<String>) -> Holding {
        let refused: Vec<&str> =
            self.filterable(rule).into_iter().filter(|name| filtered.contains(*name)).collect();
        let Matcher::Syscalls(names) = &rule.matcher else { return self.holding(rule) };
        if refused.is_empty() {
            return self.holding(rule);
        }
        let how =
            format!("{} fails with EPERM, by a filter that was set with the container", refused.join(", "));
        let rest: Vec<String> =
            names.iter().filter(|name| !refused.contains(&name.as_str())).cloned().collect();
        if rest.is_empty() {
            return Holding::Held { driver: self.driver.clone(), detail: how };
        }
        let rest = EffectiveRule { matcher: Matcher::Syscalls(rest.into()), ..rule.clone() };
        match self.holding(&rest) {
            Holding::Held { driver, detail } => {
                Holding::Held { driver, detail: format!("{how}; else {detail}") }
            }
            Holding::Degraded { driver, reason } => {
                Holding::Degraded { driver, reason: format!("{how}; else {reason}") }
            }
            Holding::NotHeld { reason } => {
                Holding::Degraded { driver: self.driver.clone(), reason: format!("{how}; else {reason}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use moat_event::Severity;

    use super::*;
    use crate::capability::{Capability, name};

    fn rule(action: RuleAction, calls: &[&str]) -> EffectiveRule {
        EffectiveRule {
            policy: "p".into(),
            rule: "r".into(),
            severity: Severity::High,
            action,
            enforced: true,
            matcher: Matcher::Syscalls(calls.iter().map(ToString::to_string).collect()),
        }
    }

    fn capabilities(driver: &str, hooks: &[&str]) -> Capabilities {
        let watched = Capability {
            name: name::SYSCALL.to_owned(),
            summary: String::new(),
            available: true,
            driver: driver.to_owned(),
            detail: String::new(),
        };
        Capabilities {
            driver: driver.to_owned(),
            hooks: hooks.iter().map(ToString::to_string).collect(),
            entries: vec![watched],
            ..Capabilities::default()
        }
    }

    #[test]
    fn a_filter_is_for_what_no_hook_refuses_and_the_runtime_can_do_without() {
        let names = ["ptrace", "personality", "execve", "cachestat"];
        let block = rule(RuleAction::Block, &names);
        let lsm = capabilities("lsm", &["ptrace_access_check", "ptrace_traceme"]);
        assert_eq!(lsm.filterable(&block), ["personality"]);
        assert_eq!(capabilities("guard", &[]).filterable(&block), ["ptrace", "personality"]);
        assert!(lsm.filterable(&rule(RuleAction::Alert, &names)).is_empty());
        assert!(lsm.filterable(&EffectiveRule { enforced: false, ..block }).is_empty());
    }

    #[test]
    fn a_rule_is_held_where_every_filter_refuses_its_calls() {
        let guard = capabilities("guard", &[]);
        let block = rule(RuleAction::Block, &["ptrace", "personality"]);
        let state = |filtered: &[&str]| {
            let filtered = filtered.iter().map(ToString::to_string).collect();
            match guard.holding_with(&block, &filtered) {
                Holding::Held { detail, .. } => ("Held", detail),
                Holding::Degraded { reason, .. } => ("Degraded", reason),
                Holding::NotHeld { reason } => ("NotHeld", reason),
            }
        };
        assert_eq!(state(&["ptrace", "personality", "mount"]).0, "Held");
        let (some, reason) = state(&["ptrace"]);
        assert!(some == "Degraded" && reason.starts_with("ptrace fails with EPERM"), "{reason}");
        assert_eq!(state(&["mount"]).0, "Degraded");
    }
}
