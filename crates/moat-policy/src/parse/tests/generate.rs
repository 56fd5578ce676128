//! Valid policies of every shape.

use std::collections::BTreeMap;

use moat_event::{Direction, FileOperation, Protocol, Severity};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::diagnostic::is_unsafe;
use crate::model::*;

/// Base names of executables: any text, and in particular what YAML takes for something else.
fn base_name() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "true", "null", "~", "443", "0x1f", "1e3", "-", "*", "&a", "yes", "#", "a: b", "é", "'", "\""
        ])
        .prop_map(str::to_owned),
        "[^/\\p{C}\\p{Z}]{1,12}",
        "[a-z]{1,8}",
    ]
    .prop_filter("can be seen", |name| !name.contains(is_unsafe))
}

fn path() -> impl Strategy<Value = String> {
    "(/[a-z][a-z0-9_.: #-]{0,6}){1,4}"
}

fn path_glob() -> impl Strategy<Value = String> {
    (path(), select(vec!["", "/**", "/*", "/?x", "/[a-c]", "/{a,b}"])).prop_map(|(path, end)| path + end)
}

fn regex() -> impl Strategy<Value = String> {
    select(vec!["^(ba)?sh$", "(^| )-c( |$)", "a|b", "[^ ]*x", "1", "\\.so$"]).prop_map(str::to_owned)
}

fn user() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{1,8}", (0..=u32::MAX).prop_map(|uid| uid.to_string())]
}

fn port() -> impl Strategy<Value = String> {
    (1..=u16::MAX, 0..100_u16).prop_map(|(first, more)| match more {
        0 => first.to_string(),
        more => format!("{first}-{}", first.saturating_add(more)),
    })
}

fn cidr() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(address, prefix)| ipnet::Ipv4Net::new_assert(
            address.into(),
            prefix
        )
        .trunc()
        .to_string()),
        (0x2000..0x4000_u16, 16..=128_u8).prop_map(|(first, prefix)| {
            let address = std::net::Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0);
            ipnet::Ipv6Net::new_assert(address, prefix).trunc().to_string()
        }),
    ]
}

fn executables() -> impl Strategy<Value = ExecutableList> {
    (vec(base_name(), 1..3), vec(path(), 0..3), vec(path_glob(), 0..3))
        .prop_map(|(names, paths, path_globs)| ExecutableList { names, paths, path_globs })
}

fn process() -> impl Strategy<Value = ProcessMatcher> {
    let origin = select(vec![OriginMatcher::Any, OriginMatcher::Entrypoint, OriginMatcher::ExecSession]);
    let narrowing =
        (option::of(regex()), vec(path(), 0..2), vec(user(), 0..2), origin, option::of(executables()));
    let selecting = prop_oneof![
        (vec(base_name(), 1..4), option::of(regex()), vec(path(), 0..2), vec(path_glob(), 0..2)).prop_map(
            |(names, name_regex, paths, path_globs)| ProcessMatcher {
                names,
                name_regex,
                paths,
                path_globs,
                ..ProcessMatcher::default()
            }
        ),
        executables().prop_map(|list| ProcessMatcher { allow_only: Some(list), ..ProcessMatcher::default() }),
    ];
    (selecting, narrowing).prop_map(|(matcher, (args_regex, parents, users, origin, except))| {
        ProcessMatcher { args_regex, parents, users, origin, except, ..matcher }
    })
}

fn file() -> impl Strategy<Value = FileMatcher> {
    let except = (vec(path_glob(), 1..2), vec(base_name(), 0..2), vec(user(), 0..2))
        .prop_map(|(paths, processes, users)| FileException { paths, processes, users });
    let operations = vec(select(FileOperation::ALL.to_vec()), 1..4);
    (vec(path_glob(), 1..3), operations, vec(path(), 0..2), vec(user(), 0..2), option::of(except)).prop_map(
        |(paths, operations, processes, users, except)| FileMatcher {
            paths,
            operations,
            processes,
            users,
            except,
        },
    )
}

fn network() -> impl Strategy<Value = NetworkMatcher> {
    let except =
        (vec(cidr(), 1..3), vec(port(), 0..2)).prop_map(|(cidrs, ports)| NetworkException { cidrs, ports });
    let direction = select(vec![Direction::Egress, Direction::Ingress, Direction::Listen]);
    let protocols = vec(select(vec![Protocol::Tcp, Protocol::Udp]), 0..2);
    let raw_sockets = vec(select(vec![Protocol::Tcp, Protocol::Udp]), 0..2).prop_map(|mut protocols| {
        protocols.push(Protocol::Raw);
        NetworkMatcher {
            direction: Direction::Egress,
            cidrs: Vec::new(),
            ports: Vec::new(),
            protocols,
            except: None,
        }
    });
    let connections = (direction, vec(cidr(), 0..3), vec(port(), 0..3), protocols, option::of(except))
        .prop_map(|(direction, cidrs, ports, protocols, except)| NetworkMatcher {
            direction,
            cidrs,
            ports,
            protocols,
            except,
        });
    prop_oneof![4 => connections, 1 => raw_sockets]
}

fn matcher() -> impl Strategy<Value = Rule> {
    let rule = || Rule {
        name: String::new(),
        severity: Severity::default(),
        action: RuleAction::Alert,
        process: None,
        file: None,
        network: None,
        syscalls: None,
        capabilities: None,
        drift: None,
    };
    let drift = (any::<bool>(), option::of(executables())).prop_map(|(execute, except)| DriftMatcher {
        execute,
        fileless: !execute,
        except,
    });
    let capability = select(crate::capabilities::NAMES.to_vec()).prop_map(str::to_owned);
    let syscall = select(vec!["ptrace", "syslog", "bpf", "open"]).prop_map(str::to_owned);
    prop_oneof![
        process().prop_map(move |process| Rule { process: Some(process), ..rule() }),
        file().prop_map(move |file| Rule { file: Some(file), ..rule() }),
        network().prop_map(move |network| Rule { network: Some(network), ..rule() }),
        vec(syscall, 1..3).prop_map(move |syscalls| Rule { syscalls: Some(syscalls), ..rule() }),
        vec(capability, 1..3).prop_map(move |names| Rule { capabilities: Some(names), ..rule() }),
        drift.prop_map(move |drift| Rule { drift: Some(drift), ..rule() }),
    ]
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let action = select(vec![
        RuleAction::Alert,
        RuleAction::Block,
        RuleAction::KillProcess,
        RuleAction::KillPod,
        RuleAction::Quarantine,
    ]);
    let rule = (matcher(), select(Severity::ALL.to_vec()), action);
    vec((rule, "[a-zA-Z0-9][a-zA-Z0-9._-]{0,5}"), 1..6).prop_map(|rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(index, ((matcher, severity, action), name))| Rule {
                name: format!("{name}-{index}"),
                severity,
                action,
                ..matcher
            })
            .collect()
    })
}

fn label_selector() -> impl Strategy<Value = LabelSelector> {
    let labels = proptest::collection::btree_map("(example[.]com/)?[a-z]{1,5}", "([a-z0-9]{1,5})?", 0..3);
    let values = vec("[a-z0-9]{1,4}", 1..3);
    let expression = ("[a-z]{1,5}", values, 0..4_u8).prop_map(|(key, values, operator)| match operator {
        0 => LabelExpression { key, operator: LabelOperator::In, values },
        1 => LabelExpression { key, operator: LabelOperator::NotIn, values },
        2 => LabelExpression { key, operator: LabelOperator::Exists, values: Vec::new() },
        _ => LabelExpression { key, operator: LabelOperator::DoesNotExist, values: Vec::new() },
    });
    (labels, vec(expression, 0..3))
        .prop_map(|(match_labels, match_expressions)| LabelSelector { match_labels, match_expressions })
}

fn spec() -> impl Strategy<Value = RuntimePolicySpec> {
    let names = || vec("[a-z]{1,5}[*?]?", 0..3);
    let namespace = (names(), names(), label_selector()).prop_map(|(match_names, exclude_names, labels)| {
        NamespaceSelector {
            match_names,
            exclude_names,
            match_labels: labels.match_labels,
            match_expressions: labels.match_expressions,
        }
    });
    let workload = (names(), names(), names(), names()).prop_map(|(kinds, names, containers, images)| {
        WorkloadSelector { kinds, names, containers, images, ..WorkloadSelector::default() }
    });
    let mode = prop_oneof![
        Just((Mode::Audit, None)),
        Just((Mode::Enforce, None)),
        select(vec!["14d", "12h", "2027-01-31", "2027-01-31T08:00:00Z"])
            .prop_map(|after| (Mode::Enforce, Some(after.to_owned()))),
    ];
    (option::of(namespace), option::of(label_selector()), option::of(workload), mode, rules()).prop_map(
        |(namespace_selector, label_selector, workload_selector, (mode, enforce_after), rules)| {
            RuntimePolicySpec {
                namespace_selector,
                label_selector,
                workload_selector,
                mode,
                enforce_after,
                rules,
            }
        },
    )
}

pub(crate) fn policy() -> impl Strategy<Value = RuntimePolicy> {
    ("[a-zA-Z0-9][a-zA-Z0-9._-]{0,9}", "\\PC{0,20}", spec()).prop_map(|(name, note, spec)| RuntimePolicy {
        api_version: API_VERSION.to_owned(),
        kind: "RuntimePolicy".to_owned(),
        metadata: Metadata {
            name,
            labels: BTreeMap::new(),
            annotations: BTreeMap::from([("example.com/note".to_owned(), note)]),
        },
        spec,
    })
}
