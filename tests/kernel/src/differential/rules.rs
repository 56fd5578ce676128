//! Rule sets from small vocabularies over the [world](super::world), so that rules meet actions and each other.

use std::sync::Arc;

use anyhow::Result;
use moat_event::{Direction, FileOperation, Protocol, Severity, Workload};
use moat_policy::model::{
    API_VERSION, DriftMatcher, ExecutableList, FileException, FileMatcher, Metadata, Mode, NetworkException,
    NetworkMatcher, OriginMatcher, ProcessMatcher, Rule, RuleAction, RuntimePolicy, RuntimePolicySpec,
};
use moat_policy::{ActivePolicy, EffectiveRule, PolicySet, RuleSet};

use super::choice::Choice;

const NAMES: &[&str] = &["alpha", "beta", "sh", "busybox", "wget", "key", "script", "[x]", "nginx"];
const PATHS: &[&str] = &[
    "/world/bin/alpha",
    "/world/bin/sh",
    "/world/bin/busybox",
    "/world/tools/alpha",
    "/world/tools/[x]",
    "/world/bin/script",
    "/world/added/sh",
    "/world/bin",
];
const GLOBS: &[&str] = &[
    "/world/bin/**",
    "/world/tools/**",
    "/world/**/sh",
    "/world/bin/*",
    "/world/*/alpha",
    "/world/{opt,added}/?*",
    "/world/tools/[ax]*",
    "/world/tools/deep/**",
    "/world/**/[!s]*",
];
const NAME_EXPRESSIONS: &[&str] = &["^(ba)?sh$", "^al", "a$", "[^a-z]", "(?i)^KEY", "^w"];
const ARGUMENT_EXPRESSIONS: &[&str] =
    &["(^| )-c( |$)", "evil[0-9]+", "^sh -c", r"\s", "^[^ ]+$", "a.c", "wget$", "^/world/bin/(sh|beta)"];
const PARENTS: &[&str] = &["nginx", "/world/tools/agent", "act", "/world/sbin/nginx", "/world/bin/sh"];
const USERS: &[&str] = &["root", "www-data", "1000", "ghost"];

const FILE_GLOBS: &[&str] = &[
    "/world/etc/**",
    "/world/etc/passwd",
    "/world/etc/ssl/**",
    "/world/etc/*",
    "/world/data/**",
    "/world/data/a",
    "/world/data/?",
    "/world/data/deep/**",
    "/world/**/a",
    r"/world/data/\[c\]",
    "/world/data/[ab]",
    "/world/{etc,data}/**/key",
];
const PROCESSES: &[&str] = &["nginx", "/world/tools/agent", "act", "/world/bin/sh"];

const NETWORKS: &[&str] = &[
    "0.0.0.0/0",
    "127.0.0.0/8",
    "127.0.0.1/32",
    "127.0.0.2/31",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3/32",
    "::/0",
    "::1/128",
    "2001:db8::/32",
    "2001:db8:0:1::/64",
    "fd00::/8",
];
const PORTS: &[&str] = &["80", "1-100", "100-1024", "443", "65535", "1-65535"];

/// Each is called by `act.c` in a harmless way.
pub const CALLS: &[&str] = &["ptrace", "syslog", "unshare", "mount", "bpf"];
/// Those that nothing else in the world uses.
pub const CAPABILITIES: &[&str] = &["SYS_CHROOT", "SYS_NICE"];

/// Three policies, one of them in audit mode.
pub fn policies(choice: &mut Choice) -> Vec<RuntimePolicy> {
    [("base", Mode::Enforce, 7), ("extra", Mode::Enforce, 4), ("trial", Mode::Audit, 5)]
        .into_iter()
        .map(|(name, mode, most)| {
            policy(name, mode, (0..=choice.below(most)).map(|_| choose(choice)).collect())
        })
        .collect()
}

fn policy(name: &str, mode: Mode, mut rules: Vec<Rule>) -> RuntimePolicy {
    for (place, rule) in rules.iter_mut().enumerate() {
        rule.name = format!("{name}-{place}");
    }
    RuntimePolicy {
        api_version: API_VERSION.into(),
        kind: "RuntimePolicy".into(),
        metadata: Metadata { name: name.into(), ..Metadata::default() },
        spec: RuntimePolicySpec {
            namespace_selector: None,
            label_selector: None,
            workload_selector: None,
            mode,
            enforce_after: None,
            rules,
        },
    }
}

/// The rule set that the policies make, without the rules that `is_held` refuses.
pub fn rule_set(
    policies: &[RuntimePolicy],
    generation: u64,
    is_held: impl Fn(&EffectiveRule) -> bool,
) -> Result<Arc<RuleSet>> {
    let first_seen = jiff::Timestamp::UNIX_EPOCH;
    let active = policies.iter().map(|policy| ActivePolicy { policy: Arc::new(policy.clone()), first_seen });
    let mut set = PolicySet::new(active, generation)?;
    let mut rules = RuleSet::clone(&*set.rule_set(&Workload::default(), first_seen));
    rules.rules.retain(is_held);
    rules.hash = format!("{generation}");
    Ok(Arc::new(rules))
}

/// The policies with only those rules that are in the set.
pub fn as_yaml(policies: &[RuntimePolicy], rules: &RuleSet) -> String {
    let held = policies.iter().map(|policy| {
        let mut policy = policy.clone();
        policy.spec.rules.retain(|rule| rules.rules.iter().any(|held| *held.rule == *rule.name));
        serde_saphyr::to_string(&policy).unwrap_or_else(|error| error.to_string())
    });
    held.collect::<Vec<_>>().join("---\n")
}

fn choose(choice: &mut Choice) -> Rule {
    let mut rule = Rule {
        name: String::new(),
        severity: Severity::High,
        action: choice.of(&[
            RuleAction::Alert,
            RuleAction::Block,
            RuleAction::Block,
            RuleAction::KillProcess,
        ]),
        process: None,
        file: None,
        network: None,
        syscalls: None,
        capabilities: None,
        drift: None,
    };
    match choice.below(100) {
        0..45 => rule.process = Some(process(choice)),
        45..67 => rule.file = Some(file(choice)),
        67..87 => rule.network = Some(network(choice)),
        87..92 => rule.drift = Some(drift(choice)),
        92..97 => rule.syscalls = Some(choice.texts(100, CALLS)),
        _ => rule.capabilities = Some(choice.texts(100, CAPABILITIES)),
    }
    rule
}

/// Not empty.
fn executables(choice: &mut Choice) -> ExecutableList {
    let list = ExecutableList {
        names: choice.texts(50, NAMES),
        paths: choice.texts(40, PATHS),
        path_globs: choice.texts(30, GLOBS),
    };
    if list == ExecutableList::default() {
        return ExecutableList { names: choice.texts(100, NAMES), ..list };
    }
    list
}

fn process(choice: &mut Choice) -> ProcessMatcher {
    use OriginMatcher::{Any, Entrypoint, ExecSession};
    let narrowed = ProcessMatcher {
        args_regex: choice.text(25, ARGUMENT_EXPRESSIONS),
        parents: choice.texts(15, PARENTS),
        users: choice.texts(15, USERS),
        origin: choice.of(&[Any, Any, Any, Any, Entrypoint, ExecSession]),
        except: choice.chance(25).then(|| executables(choice)),
        ..ProcessMatcher::default()
    };
    if choice.chance(10) {
        // Wide enough that most of the rest may still happen.
        let globs =
            choice.texts(100, &["/world/bin/**", "/world/tools/**", "/world/{opt,added}/**", "/world/**"]);
        let listed = executables(choice);
        let allow_only = Some(ExecutableList { path_globs: globs, ..listed });
        return ProcessMatcher { allow_only, ..narrowed };
    }
    let ExecutableList { names, paths, path_globs } = executables(choice);
    ProcessMatcher { names, paths, path_globs, name_regex: choice.text(20, NAME_EXPRESSIONS), ..narrowed }
}

fn file(choice: &mut Choice) -> FileMatcher {
    let operations = if choice.chance(55) {
        choice.some(&[FileOperation::Read, FileOperation::Write])
    } else {
        choice.some(&FileOperation::ALL)
    };
    let except = FileException {
        paths: choice.texts(40, FILE_GLOBS),
        processes: choice.texts(20, PROCESSES),
        users: choice.texts(20, USERS),
    };
    FileMatcher {
        paths: choice.texts(100, FILE_GLOBS),
        operations,
        processes: choice.texts(20, PROCESSES),
        users: choice.texts(20, USERS),
        except: (except != FileException::default() && choice.chance(50)).then_some(except),
    }
}

fn network(choice: &mut Choice) -> NetworkMatcher {
    let except = NetworkException { cidrs: choice.texts(50, NETWORKS), ports: choice.texts(50, PORTS) };
    NetworkMatcher {
        direction: if choice.chance(80) { Direction::Egress } else { Direction::Listen },
        cidrs: choice.texts(65, NETWORKS),
        ports: choice.texts(55, PORTS),
        protocols: if choice.chance(40) { choice.some(&[Protocol::Tcp, Protocol::Udp]) } else { Vec::new() },
        except: (except != NetworkException::default() && choice.chance(40)).then_some(except),
    }
}

fn drift(choice: &mut Choice) -> DriftMatcher {
    DriftMatcher {
        execute: true,
        fileless: choice.chance(50),
        except: choice.chance(30).then(|| executables(choice)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_valid() {
        let mut choice = Choice::new(3);
        for _ in 0..300 {
            let policies = policies(&mut choice);
            for policy in &policies {
                let problems = moat_policy::validate::validate_runtime(policy);
                assert!(problems.is_empty(), "{problems:?}: {policy:?}");
            }
            let rules = rule_set(&policies, 1, |_| true).unwrap();
            let all: usize = policies.iter().map(|policy| policy.spec.rules.len()).sum();
            assert_eq!(rules.rules.len(), all);
        }
    }
}
