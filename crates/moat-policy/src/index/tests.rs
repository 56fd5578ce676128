//! The index says what the reference says, and the order of decisions holds.

use std::net::{IpAddr, Ipv4Addr};

use moat_event::{FileOperation, Origin, Protocol, Severity};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::activity::{Actor, Connect, Exec, FileAccess};
use crate::model::{
    DriftMatcher, ExecutableList, FileException, FileMatcher, NetworkException, NetworkMatcher,
    OriginMatcher, ProcessMatcher, RuleAction,
};
use crate::rule_set::{self, EffectiveRule};
use crate::{Evaluator, decide};

const NAMES: &[&str] = &["sh", "bash", "nginx", "id", "busybox"];
const PATHS: &[&str] =
    &["/bin/sh", "/bin/busybox", "/usr/bin/id", "/tmp/x", "/etc/passwd", "/etc/ssl/key", "/etc", "/"];
const GLOBS: &[&str] =
    &["/bin/*", "/tmp/**", "/**", "/etc/**", "/etc/*", "/usr/*/id", "/etc/passwd", "/{bin,tmp}/?*", "**/key"];
const NAME_PATTERNS: &[&str] = &["^(ba|z)?sh$", "s", "", "^nginx", r"\bid\b", "[^a-z]"];
const ARGUMENT_PATTERNS: &[&str] = &["(^| )-c( |$)", "x", "^$", ""];
const ENTRIES: &[&str] = &["nginx", "/bin/sh", "bash"];
const USERS: &[&str] = &["root", "www-data", "7", "ghost"];
const PASSWD: &[u8] = b"www-data:x:33:33";

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let most = of.len().min(3);
    prop_oneof![
        2 => Just(Vec::new()),
        3 => subsequence(of, 1..=most).prop_map(|list| list.into_iter().map(str::to_owned).collect()),
    ]
}

fn one(of: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop_oneof![3 => Just(None), 2 => select(of).prop_map(|text| Some(text.to_owned()))]
}

fn executables() -> impl Strategy<Value = ExecutableList> {
    (some(NAMES), some(PATHS), some(GLOBS)).prop_map(|(names, paths, path_globs)| ExecutableList {
        names,
        paths,
        path_globs,
    })
}

fn process() -> impl Strategy<Value = rule_set::Matcher> {
    let origin = select(
        &[OriginMatcher::Any, OriginMatcher::Any, OriginMatcher::Entrypoint, OriginMatcher::ExecSession][..],
    );
    let rare = |of| prop_oneof![3 => Just(Vec::new()), 1 => some(of)];
    (
        executables(),
        one(NAME_PATTERNS),
        one(ARGUMENT_PATTERNS),
        rare(ENTRIES),
        rare(USERS),
        origin,
        prop::option::weighted(0.2, executables()),
        prop::option::weighted(0.3, executables()),
    )
        .prop_map(|(selectors, name_regex, args_regex, parents, users, origin, allow_only, except)| {
            let explicit = allow_only.is_none();
            let selectors = if explicit { selectors } else { ExecutableList::default() };
            let ExecutableList { names, paths, path_globs } = selectors;
            let name_regex = name_regex.filter(|_| explicit);
            rule_set::Matcher::Process(
                ProcessMatcher {
                    names,
                    name_regex,
                    paths,
                    path_globs,
                    args_regex,
                    parents,
                    users,
                    origin,
                    allow_only,
                    except,
                }
                .into(),
            )
        })
}

fn file() -> impl Strategy<Value = rule_set::Matcher> {
    let except = (some(GLOBS), some(ENTRIES), some(USERS))
        .prop_map(|(paths, processes, users)| FileException { paths, processes, users });
    (
        some(GLOBS),
        subsequence(&FileOperation::ALL[..3], 1..=3),
        some(ENTRIES),
        some(USERS),
        prop::option::weighted(0.3, except),
    )
        .prop_map(|(paths, operations, processes, users, except)| {
            rule_set::Matcher::File(FileMatcher { paths, operations, processes, users, except }.into())
        })
}

fn network() -> impl Strategy<Value = rule_set::Matcher> {
    let except =
        (some(&["10.1.0.0/16"]), some(&["80"])).prop_map(|(cidrs, ports)| NetworkException { cidrs, ports });
    (
        select(&[Direction::Egress, Direction::Ingress, Direction::Listen][..]),
        some(&["10.0.0.0/8", "10.1.0.0/16", "::/0"]),
        some(&["80", "1-100"]),
        subsequence(&[Protocol::Tcp, Protocol::Udp, Protocol::Raw][..], 0..=3),
        prop::option::weighted(0.3, except),
    )
        .prop_map(|(direction, cidrs, ports, protocols, except)| {
            rule_set::Matcher::Network(NetworkMatcher { direction, cidrs, ports, protocols, except }.into())
        })
}

fn drift() -> impl Strategy<Value = rule_set::Matcher> {
    (any::<bool>(), any::<bool>(), prop::option::of(executables())).prop_map(|(execute, fileless, except)| {
        rule_set::Matcher::Drift(DriftMatcher { execute, fileless, except }.into())
    })
}

fn matcher() -> impl Strategy<Value = rule_set::Matcher> {
    prop_oneof![
        4 => process(),
        3 => file(),
        1 => network(),
        1 => drift(),
        1 => some(&["ptrace", "bpf"]).prop_map(|names| rule_set::Matcher::Syscalls(names.into())),
        1 => some(&["BPF", "CHOWN"]).prop_map(|names| rule_set::Matcher::Capabilities(names.into())),
    ]
}

fn action() -> impl Strategy<Value = RuleAction> {
    select(&[RuleAction::Alert, RuleAction::Block, RuleAction::KillProcess, RuleAction::KillPod][..])
}

fn rule() -> impl Strategy<Value = EffectiveRule> {
    (0u8..6, 0u8..4, action(), any::<bool>(), matcher()).prop_map(
        |(policy, rule, action, enforced, matcher)| EffectiveRule {
            policy: format!("policy-{policy}").into(),
            rule: format!("rule-{rule}").into(),
            severity: Severity::High,
            action,
            enforced,
            matcher,
        },
    )
}

fn rules(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<EffectiveRule>> {
    prop::collection::vec(rule(), count).prop_map(|mut rules| {
        // A policy names a rule once.
        let mut seen = BTreeSet::new();
        rules.retain(|rule| seen.insert((rule.policy.clone(), rule.rule.clone())));
        rules
    })
}

/// The rule set as selection makes it.
fn rule_set(mut rules: Vec<EffectiveRule>) -> Arc<RuleSet> {
    rules.sort_by(EffectiveRule::decision_order);
    Arc::new(RuleSet { generation: 1, hash: String::new(), rules })
}

/// An activity that owns what it points to.
#[derive(Debug, Clone)]
enum Act {
    Exec {
        path: &'static str,
        arguments: Option<&'static str>,
        ancestors: Vec<&'static [u8]>,
        uid: u32,
        origin: Origin,
        source: FileSource,
    },
    File {
        path: &'static str,
        operation: FileOperation,
        executable: &'static str,
        uid: u32,
    },
    Connect(Connect),
    Syscall(&'static str),
    Capability(&'static str),
}

impl Act {
    fn with<T>(&self, use_it: impl FnOnce(&Activity<'_>) -> T) -> T {
        use_it(&match self {
            Act::Exec { path, arguments, ancestors, uid, origin, source } => Activity::Exec(Exec {
                path: path.as_bytes(),
                arguments: arguments.map(str::as_bytes),
                ancestors,
                uid: *uid,
                origin: *origin,
                source: *source,
            }),
            Act::File { path, operation, executable, uid } => Activity::File(FileAccess {
                path: path.as_bytes(),
                operation: *operation,
                actor: Actor { executable: executable.as_bytes(), uid: *uid },
            }),
            Act::Connect(connect) => Activity::Connect(*connect),
            Act::Syscall(name) => Activity::Syscall(name),
            Act::Capability(name) => Activity::Capability(name),
        })
    }
}

const TOUCHED: &[&str] = &[
    "/bin/sh",
    "/bin/bash",
    "/bin/busybox",
    "/tmp/toybox",
    "/usr/bin/id",
    "/tmp/x",
    "/tmp",
    "/tmpx",
    "/etc/passwd",
    "/etc/ssl/key",
    "/etc",
    "/",
    "/a/nginx",
];

const ANCESTORS: &[&[u8]] = &[b"/usr/sbin/nginx", b"/bin/sh", b"/bin/bash"];

fn act() -> impl Strategy<Value = Act> {
    let exec = (
        select(TOUCHED),
        prop::option::of(select(&["sh\0-c\0id\0", "busybox\0id\0", "busybox\0", "x\0", ""][..])),
        subsequence(ANCESTORS, 0..=3),
        select(&[0, 7, 33, 1000][..]),
        select(&[Origin::Entrypoint, Origin::ExecSession][..]),
        select(&[FileSource::Image, FileSource::Added, FileSource::Fileless][..]),
    )
        .prop_map(|(path, arguments, ancestors, uid, origin, source)| Act::Exec {
            path,
            arguments,
            ancestors,
            uid,
            origin,
            source,
        });
    let file = (
        select(TOUCHED),
        select(&FileOperation::ALL[..3]),
        select(&["/usr/sbin/nginx", "/bin/sh", "/bin/cat"][..]),
        select(&[0, 7, 33, 1000][..]),
    )
        .prop_map(|(path, operation, executable, uid)| Act::File { path, operation, executable, uid });
    let peers: Vec<IpAddr> = vec![
        Ipv4Addr::new(10, 1, 2, 3).into(),
        Ipv4Addr::new(10, 2, 2, 3).into(),
        "::ffff:10.1.2.3".parse().unwrap(),
        "2001:db8::1".parse().unwrap(),
        "::".parse().unwrap(),
        Ipv4Addr::UNSPECIFIED.into(),
    ];
    let connect = (
        select(&[Direction::Egress, Direction::Ingress, Direction::Listen][..]),
        select(&[Protocol::Tcp, Protocol::Udp, Protocol::Raw][..]),
        select(peers),
        select(&[1u16, 80, 443][..]),
    )
        .prop_map(|(direction, protocol, peer, port)| {
            Act::Connect(Connect { direction, protocol, peer, port })
        });
    prop_oneof![4 => exec, 3 => file, 1 => connect, 1 => select(&["ptrace", "read"][..]).prop_map(Act::Syscall), 1 => select(&["BPF", "KILL"][..]).prop_map(Act::Capability)]
}

fn users() -> Users {
    Users::parse(PASSWD)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_index_decides_as_the_reference_does(
        rules in rules(0..12),
        acts in prop::collection::vec(act(), 1..24),
    ) {
        let rules = rule_set(rules);
        let reference = Evaluator::new(Arc::clone(&rules), &users()).unwrap();
        let index = RuleIndex::new(rules, &users()).unwrap();
        for act in &acts {
            act.with(|activity| {
                prop_assert_eq!(index.decide(activity), reference.decide(activity), "{:?}", activity);
                Ok(())
            })?;
        }
    }

    /// A caller keeps "allowed" for good where no rule concerns the path.
    #[test]
    fn what_concerns_no_rule_is_never_decided(
        rules in rules(0..6),
        acts in prop::collection::vec(act(), 1..24),
    ) {
        let index = RuleIndex::new(rule_set(rules), &users()).unwrap();
        for act in &acts {
            act.with(|activity| {
                let concerned = match activity {
                    Activity::Exec(exec) => {
                        let concerned = index.concerns_exec_from(exec.path, exec.source);
                        prop_assert!(!concerned || index.concerns_exec(exec.path));
                        concerned
                    }
                    Activity::File(access) => index.concerns_file(access.path),
                    Activity::Connect(_) | Activity::Syscall(_) | Activity::Capability(_) => true,
                };
                let decision = index.decide(activity);
                if !concerned {
                    prop_assert_eq!((decision.enforced, decision.audited), (Verdict::NoMatch, Verdict::NoMatch));
                }
                Ok(())
            })?;
        }
    }

    #[test]
    fn the_order_in_which_policies_are_given_decides_nothing(
        (rules, shuffled) in rules(0..10).prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        act in act(),
    ) {
        let (one, other) = (rule_set(rules), rule_set(shuffled));
        act.with(|activity| {
            prop_assert_eq!(
                decide(&one, &users(), activity).unwrap(),
                decide(&other, &users(), activity).unwrap()
            );
            Ok(())
        })?;
    }

    #[test]
    fn a_policy_in_audit_mode_never_weakens_an_enforced_one(
        rules in rules(0..10),
        more in rules(1..6),
        act in act(),
    ) {
        let enforced_by = |rules: Vec<EffectiveRule>| {
            let rules = rule_set(rules);
            act.with(|activity| match decide(&rules, &users(), activity).unwrap().enforced {
                Verdict::Match { rule, .. } => Some(Some(rule.clone())),
                Verdict::NeedsArguments => Some(None),
                Verdict::NoMatch => None,
            })
        };
        let audits = more.into_iter().map(|rule| EffectiveRule {
            policy: format!("audit-{}", rule.policy).into(),
            enforced: false,
            ..rule
        });
        let with_audits = rules.iter().cloned().chain(audits).collect();
        prop_assert_eq!(enforced_by(rules), enforced_by(with_audits));
    }

    #[test]
    fn an_alert_never_unblocks_an_explicit_match(
        rules in rules(0..10),
        more in rules(1..6),
        act in act(),
    ) {
        let decided = |rules: &[EffectiveRule]| {
            let rules = rule_set(rules.to_vec());
            act.with(|activity| decide(&rules, &users(), activity).unwrap().enforced.rule().cloned())
        };
        let alerts = more.into_iter().map(|rule| EffectiveRule {
            // Sorts before every other policy, so that only the action keeps it behind.
            policy: format!("alert-{}", rule.policy).into(),
            action: RuleAction::Alert,
            ..rule
        });
        let before = decided(&rules);
        let after = decided(&rules.iter().cloned().chain(alerts).collect::<Vec<_>>());
        if let Some(before) = before.filter(|rule| rule.action > RuleAction::Alert && !rule.is_allow_list()) {
            prop_assert_eq!(after, Some(before));
        }
    }

    /// Whatever a rule decides, it can say why, and only then; on one line.
    #[test]
    fn whatever_matches_has_its_reason(rules in rules(1..6), act in act()) {
        let evaluator = Evaluator::new(rule_set(rules), &users()).unwrap();
        act.with(|activity| {
            let decision = evaluator.decide(activity);
            for verdict in [decision.enforced, decision.audited] {
                if let Verdict::Match { index, .. } = verdict {
                    let reason = evaluator.reason(index, activity);
                    prop_assert!(!reason.is_empty() && !reason.contains('\n'), "{}", reason);
                }
            }
            Ok(())
        })?;
    }
}
