//! Rule sets and activities from small vocabularies, so that they meet: overlapping directories, globs beside
//! exact paths, exceptions inside what they except from.

use std::net::IpAddr;
use std::sync::Arc;

use moat_event::{Direction, FileOperation, Origin, Protocol, Severity};
use moat_policy::activity::{Actor, Connect, Exec, FileAccess, FileSource};
use moat_policy::model::{
    DriftMatcher, ExecutableList, FileException, FileMatcher, NetworkException, NetworkMatcher,
    OriginMatcher, ProcessMatcher, RuleAction,
};
use moat_policy::rule_set::Matcher;
use moat_policy::{Activity, EffectiveRule, RuleSet, Users};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

const NAMES: &[&str] = &["sh", "bash", "nginx", "id", "[", "key"];
/// Exact, whatever they look like.
const PATHS: &[&str] = &[
    "/bin/sh",
    "/usr/bin/id",
    "/usr/bin/[",
    "/tmp/x",
    "/tmp",
    "/etc/ssl/key",
    "/opt/{a,b}",
    "/opt/[x]",
    "/opt/a\\b",
];
const GLOBS: &[&str] = &[
    "/**",
    "/usr/**",
    "/usr/bin/**",
    "/usr/bin/id/**",
    "/tmp/**",
    "/etc/**",
    "/etc/ssl/**",
    "/bin/*",
    "/etc/*",
    "/usr/*/id",
    "/bin/sh",
    "/{bin,tmp}/?*",
    "/opt/[ax]",
    "/**/key",
    "/usr/**/[!b]*",
];
const NAME_EXPRESSIONS: &[&str] =
    &["^(ba|z)?sh$", "s", "", "^nginx", r"\bid\b", "[^a-z]", "(?i)^KEY", "[^\\x00-\\x7f]"];
const ARGUMENT_EXPRESSIONS: &[&str] =
    &["(^| )-c( |$)", "x", "^$", "", "evil[0-9]+", "^sh -c", r"\s", "^[^ ]+$", "a.c", "(?s)a.c"];
const PARENTS: &[&str] = &["nginx", "/bin/sh", "bash", "/usr/sbin/nginx"];
const USERS: &[&str] = &["root", "www-data", "7", "ghost", "4294967295"];
const NETWORKS: &[&str] = &[
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.3",
    "10.1.2.3/32",
    "10.1.2.2/31",
    "::/0",
    "2001:db8::/32",
    "2001:db8:0:1::/64",
    "2001:db8::1",
    "::ffff:10.0.0.0/104",
    "::ffff:0:0/96",
    "::ffff:10.1.2.3",
    "::/1",
];
const PORTS: &[&str] = &["80", "1-100", "100-1024", "443", "65535", "1-65535"];
const CALLS: &[&str] = &["ptrace", "bpf", "unshare", "syslog", "mount"];
const CAPABILITIES: &[&str] = &["CHOWN", "NET_RAW", "SYS_ADMIN", "CHECKPOINT_RESTORE"];

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    let most = of.len().min(3);
    prop_oneof![
        2 => Just(Vec::new()),
        3 => subsequence(of, 1..=most).prop_map(|list| list.into_iter().map(str::to_owned).collect()),
    ]
}

fn rarely(of: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![3 => Just(Vec::new()), 1 => some(of)]
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

fn process() -> impl Strategy<Value = Matcher> {
    let origin = select(
        &[OriginMatcher::Any, OriginMatcher::Any, OriginMatcher::Entrypoint, OriginMatcher::ExecSession][..],
    );
    (
        executables(),
        one(NAME_EXPRESSIONS),
        one(ARGUMENT_EXPRESSIONS),
        rarely(PARENTS),
        rarely(USERS),
        origin,
        prop::option::weighted(0.2, executables()),
        prop::option::weighted(0.3, executables()),
    )
        .prop_map(|(selectors, name_regex, args_regex, parents, users, origin, allow_only, except)| {
            let ExecutableList { names, paths, path_globs } = selectors;
            Matcher::Process(Arc::new(ProcessMatcher {
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
            }))
        })
}

fn network() -> impl Strategy<Value = Matcher> {
    let except =
        (rarely(NETWORKS), rarely(PORTS)).prop_map(|(cidrs, ports)| NetworkException { cidrs, ports });
    (
        select(&[Direction::Egress, Direction::Ingress, Direction::Listen][..]),
        some(NETWORKS),
        some(PORTS),
        subsequence(&[Protocol::Tcp, Protocol::Udp][..], 0..=2),
        prop::option::weighted(0.5, except),
    )
        .prop_map(|(direction, cidrs, ports, protocols, except)| {
            Matcher::Network(Arc::new(NetworkMatcher { direction, cidrs, ports, protocols, except }))
        })
}

/// A rule about raw sockets has no other condition.
fn raw() -> impl Strategy<Value = Matcher> {
    subsequence(&[Protocol::Tcp, Protocol::Udp][..], 0..=1).prop_map(|mut protocols| {
        protocols.push(Protocol::Raw);
        let (cidrs, ports) = (Vec::new(), Vec::new());
        let direction = Direction::Egress;
        Matcher::Network(Arc::new(NetworkMatcher { direction, cidrs, ports, protocols, except: None }))
    })
}

fn drift() -> impl Strategy<Value = Matcher> {
    (any::<bool>(), any::<bool>(), prop::option::of(executables())).prop_map(|(execute, fileless, except)| {
        Matcher::Drift(Arc::new(DriftMatcher { execute, fileless, except }))
    })
}

fn file() -> impl Strategy<Value = Matcher> {
    let except = (rarely(GLOBS), rarely(PARENTS), rarely(USERS))
        .prop_map(|(paths, processes, users)| FileException { paths, processes, users });
    (
        subsequence(GLOBS, 1..=3),
        subsequence(&FileOperation::ALL[..], 1..=4),
        rarely(PARENTS),
        rarely(USERS),
        prop::option::weighted(0.4, except),
    )
        .prop_map(|(paths, operations, processes, users, except)| {
            let paths = paths.into_iter().map(str::to_owned).collect();
            Matcher::File(Arc::new(FileMatcher { paths, operations, processes, users, except }))
        })
}

fn rule() -> impl Strategy<Value = EffectiveRule> {
    let matcher = prop_oneof![
        5 => process(),
        4 => file(),
        4 => network(),
        1 => raw(),
        1 => drift(),
        2 => some(CALLS).prop_map(|names| Matcher::Syscalls(names.into())),
        2 => some(CAPABILITIES).prop_map(|names| Matcher::Capabilities(names.into())),
    ];
    let action = select(
        &[
            RuleAction::Alert,
            RuleAction::Block,
            RuleAction::KillProcess,
            RuleAction::KillPod,
            RuleAction::Quarantine,
        ][..],
    );
    (0u8..6, 0u8..4, action, any::<bool>(), matcher).prop_map(|(policy, rule, action, enforced, matcher)| {
        EffectiveRule {
            policy: format!("policy-{policy}").into(),
            rule: format!("rule-{rule}").into(),
            severity: Severity::High,
            action,
            enforced,
            matcher,
        }
    })
}

pub(super) fn rules(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<EffectiveRule>> {
    prop::collection::vec(rule(), count)
}

/// The rule set as selection makes it.
pub(super) fn rule_set(mut rules: Vec<EffectiveRule>) -> Arc<RuleSet> {
    rules.sort_by(EffectiveRule::decision_order);
    Arc::new(RuleSet { generation: 1, hash: String::new(), rules })
}

pub(super) fn users() -> Users {
    Users::parse(b"www-data:x:33:33")
}

/// An activity that owns what it points to.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Exec {
        path: Vec<u8>,
        arguments: &'static [u8],
        ancestors: Vec<&'static [u8]>,
        uid: u32,
        origin: Origin,
        source: FileSource,
    },
    File {
        path: Vec<u8>,
        operation: FileOperation,
        executable: &'static [u8],
        uid: u32,
    },
    Connect(Connect),
    Syscall(&'static str),
    Capability(&'static str),
}

impl Act {
    pub(super) fn with<T>(&self, use_it: impl FnOnce(&Activity<'_>) -> T) -> T {
        use_it(&match self {
            Act::Exec { path, arguments, ancestors, uid, origin, source } => Activity::Exec(Exec {
                path,
                arguments: Some(arguments),
                ancestors,
                uid: *uid,
                origin: *origin,
                source: *source,
            }),
            Act::File { path, operation, executable, uid } => Activity::File(FileAccess {
                path,
                operation: *operation,
                actor: Actor { executable, uid: *uid },
            }),
            Act::Connect(connect) => Activity::Connect(*connect),
            Act::Syscall(name) => Activity::Syscall(name),
            Act::Capability(name) => Activity::Capability(name),
        })
    }
}

const EXECUTED: &[&[u8]] = &[
    b"/bin/sh",
    b"/bin/bash",
    b"/bin/dir/sh",
    b"/bin/busybox",
    b"/opt/toybox.static",
    b"/usr/bin/id",
    b"/usr/bin/[",
    b"/usr/bin/idle",
    b"/usr/binx",
    b"/usr/bin/id/key",
    b"/usr/lib/a/b/c",
    b"/tmp/x",
    b"/tmp",
    b"/tmpx",
    b"/etc/ssl/key",
    b"/etc/sslkey",
    b"/opt/a",
    b"/opt/{a,b}",
    b"/opt/[x]",
    b"/opt/a\\b",
    b"/srv/nginx",
    b"/srv/KEY\n",
    b"/srv/\xff\xfe",
];

const ARGUMENTS: &[&[u8]] = &[
    b"sh\0-c\0id\0",
    b"-bash\0",
    b"/bin/busybox\0busybox\0id\0-u\0",
    b"coreutils\0--coreutils-prog=sh\0",
    b"busybox\0",
    b"sh\0-c id\0",
    b"x\0",
    b"",
    b" \0",
    b"touch\0/tmp/evil42\0",
    b"a\nc\0",
    b"a\xffc\0",
    b"sh\0-c\0",
];
const ANCESTORS: &[&[u8]] = &[b"/usr/sbin/nginx", b"/bin/sh", b"/opt/bash", b"/usr/sbin/nginx-debug"];
const PEERS: &[&str] = &[
    "10.1.2.3",
    "10.1.2.2",
    "10.2.2.3",
    "11.0.0.1",
    "::ffff:10.1.2.3",
    "::ffff:11.0.0.1",
    "2001:db8::1",
    "2001:db8:0:1::5",
    "2001:db9::",
    "::1",
    "fe80::1",
    "::10.1.2.3",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
];

pub(super) fn act() -> impl Strategy<Value = Act> {
    // Longer than any key, below directories that rules name.
    let long = select(&["/usr/bin/", "/tmp/", "/srv/"][..])
        .prop_map(|directory| [directory.as_bytes(), b"d/".repeat(130).as_slice(), b"sh"].concat());
    let path = prop_oneof![12 => select(EXECUTED).prop_map(<[u8]>::to_vec), 1 => long].boxed();
    let file = (
        path.clone(),
        select(&FileOperation::ALL[..]),
        select(ANCESTORS),
        select(&[0, 7, 33, 1000, u32::MAX][..]),
    )
        .prop_map(|(path, operation, executable, uid)| Act::File { path, operation, executable, uid });
    let exec = (
        path,
        select(ARGUMENTS),
        subsequence(ANCESTORS, 0..=3),
        select(&[0, 7, 33, 1000, u32::MAX][..]),
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
    let connect = (
        select(&[Direction::Egress, Direction::Ingress, Direction::Listen][..]),
        select(&[Protocol::Tcp, Protocol::Udp][..]),
        select(PEERS),
        select(&[1u16, 80, 100, 101, 443, 65535][..]),
    )
        .prop_map(|(direction, protocol, peer, port)| {
            let peer: IpAddr = peer.parse().expect("an address");
            Act::Connect(Connect { direction, protocol, peer, port })
        });
    let raw = Connect {
        direction: Direction::Egress,
        protocol: Protocol::Raw,
        peer: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        port: 0,
    };
    prop_oneof![
        4 => exec,
        4 => file,
        4 => connect,
        1 => Just(Act::Connect(raw)),
        2 => select(CALLS).prop_map(Act::Syscall),
        2 => select(CAPABILITIES).prop_map(Act::Capability),
    ]
}
