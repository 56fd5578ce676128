//! What actors are told to do, and what that is to the reference evaluator.

use std::net::IpAddr;

use moat_event::{Direction, FileOperation, Protocol};
use moat_kernel::Act;
use moat_policy::activity::{Actor as Subject, Connect, Exec, FileAccess, FileSource};
use moat_policy::decision::Verdict;
use moat_policy::{Activity, Evaluator};

use super::change::Change;
use super::choice::Choice;
use super::rules::{CALLS, CAPABILITIES};
use super::world::{ACTORS, ADDED, Actor, FILES, LINKED, PROGRAMS, SCRIPTS};

/// One act of one actor.
#[derive(Debug, Clone)]
pub enum Action {
    Execute {
        path: String,
        argv: Vec<&'static str>,
    },
    Open {
        path: &'static str,
        how: Opening,
    },
    Change(Change),
    /// By connect(2), or by sendto(2) without it.
    Reach {
        protocol: Protocol,
        peer: &'static str,
        port: u16,
        connects: bool,
    },
    Listen {
        protocol: Protocol,
        address: &'static str,
        port: u16,
    },
    Call(&'static str),
    Use(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    Read,
    Write,
    Update,
    Empty,
}

/// What agreement is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Execution,
    Script,
    Open,
    Change,
    Connection,
    Listening,
    Call,
    Capability,
}

/// A thing that the kernel is asked on the way, and what the rules say of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    pub subject: String,
    pub enforced: Option<usize>,
    pub audited: Option<usize>,
}

const ARGUMENTS: &[&[&str]] = &[
    &["sh", "-c", "id"],
    &["sh", "-c id"],
    &["x"],
    &[" "],
    &["touch", "/tmp/evil42"],
    &["a\u{1}c"],
    &["sh", "-c"],
    &["wget"],
    &["-sh"],
    &["busybox", "wget", "http://peer"],
    &["/bin/busybox", "sh"],
    &["busybox"],
    &["/world/bin/sh", "evil7"],
    &["key", "a", "", "b"],
];
const PEERS: &[&str] = &[
    "127.0.0.1",
    "127.0.0.2",
    "127.1.2.3",
    "10.1.2.3",
    "10.1.2.2",
    "10.2.2.3",
    "192.0.2.1",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "2001:db8::1",
    "2001:db8:0:1::5",
    "2001:db9::1",
];
const PEER_PORTS: &[u16] = &[1, 80, 100, 101, 443, 1024, 1025, 65535];
const LOCAL: &[&str] = &["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::"];

impl Action {
    pub fn choose(choice: &mut Choice, kinds: &[Kind]) -> (&'static Actor, Action) {
        let weighted: Vec<Kind> =
            kinds.iter().flat_map(|kind| std::iter::repeat_n(*kind, kind.weight())).collect();
        let mut actor = &ACTORS[choice.below(ACTORS.len())];
        let action = match choice.of(&weighted) {
            Kind::Execution => {
                let programs: Vec<&'static str> = PROGRAMS.into_iter().chain(ADDED).collect();
                let program = choice.of(&programs);
                Action::Execute { path: approach(choice, program), argv: choice.of(ARGUMENTS).to_vec() }
            }
            Kind::Script => {
                let (script, _, _) = choice.of(&SCRIPTS);
                Action::Execute { path: approach(choice, script), argv: choice.of(ARGUMENTS).to_vec() }
            }
            Kind::Open => {
                use Opening::{Empty, Read, Update, Write};
                let how = choice.of(&[Read, Read, Write, Update, Empty]);
                Action::Open { path: choice.of(&FILES), how }
            }
            Kind::Change => Action::Change(Change::choose(choice)),
            Kind::Connection => {
                let protocol = choice.of(&[Protocol::Tcp, Protocol::Udp]);
                let connects = protocol == Protocol::Tcp || choice.chance(30);
                Action::Reach { protocol, peer: choice.of(PEERS), port: choice.of(PEER_PORTS), connects }
            }
            Kind::Listening => Action::Listen {
                protocol: choice.of(&[Protocol::Tcp, Protocol::Udp]),
                address: choice.of(LOCAL),
                port: choice.of(PEER_PORTS),
            },
            Kind::Call => Action::Call(choice.of(CALLS)),
            Kind::Capability => Action::Use(choice.of(CAPABILITIES)),
        };
        // Others cannot do these things, whatever the rules say.
        let of_root = matches!(&action, Action::Change(change) if change.needs_root());
        if of_root || matches!(action, Action::Listen { .. } | Action::Call(_) | Action::Use(_)) {
            actor = &ACTORS[2 * choice.below(2)];
        }
        (actor, action)
    }

    pub fn kind(&self) -> Kind {
        match self {
            Action::Execute { path, .. } if interpreter(path).is_some() => Kind::Script,
            Action::Execute { .. } => Kind::Execution,
            Action::Open { .. } => Kind::Open,
            Action::Change(_) => Kind::Change,
            Action::Reach { .. } => Kind::Connection,
            Action::Listen { .. } => Kind::Listening,
            Action::Call(_) => Kind::Call,
            Action::Use(_) => Kind::Capability,
        }
    }

    /// The line that `act.c` reads.
    pub fn line(&self) -> String {
        let words: Vec<String> = match self {
            Action::Execute { path, argv } => {
                let argv = argv.iter().map(ToString::to_string);
                ["execute".into(), path.clone()].into_iter().chain(argv).collect()
            }
            Action::Open { path, how } => vec![how.verb().into(), (*path).into()],
            Action::Change(change) => change.words(),
            Action::Reach { protocol, peer, port, connects } => {
                let verb = if *connects { "connect" } else { "send" };
                vec![verb.into(), protocol.name().into(), (*peer).into(), port.to_string()]
            }
            Action::Listen { protocol, address, port } => {
                vec!["listen".into(), protocol.name().into(), (*address).into(), port.to_string()]
            }
            Action::Call(name) => vec!["call".into(), (*name).into()],
            Action::Use(name) => vec!["use".into(), (*name).into()],
        };
        words.join("\t")
    }

    /// What the evaluator says of each thing that the kernel is asked, in its order. With `arguments`, all of it is
    /// known; without, what is known when the file is opened: neither the arguments nor where it comes from.
    pub fn said(&self, rules: &Evaluator, actor: &Actor, arguments: bool) -> Vec<Said> {
        let decide = |subject: String, activities: &[Activity<'_>]| {
            let mut said = Said { subject, enforced: None, audited: None };
            for activity in activities {
                let decision = rules.decide(activity);
                said.enforced = stronger(said.enforced, decision.enforced);
                said.audited = stronger(said.audited, decision.audited);
            }
            said
        };
        let execute = |path: &str, argv: &[&str]| {
            let joined: Vec<u8> = argv.iter().flat_map(|word| word.bytes().chain([0])).collect();
            let added = arguments && ADDED.contains(&path);
            let exec = Exec {
                path: path.as_bytes(),
                arguments: arguments.then_some(&joined),
                ancestors: actor.lineage,
                uid: actor.uid,
                origin: actor.origin,
                source: if added { FileSource::Added } else { FileSource::Image },
            };
            decide(format!("execute {path}"), &[Activity::Exec(exec)])
        };
        let connect = |direction, protocol, peer: &str, port| {
            let peer: IpAddr = peer.parse().unwrap_or(IpAddr::from([0; 4]));
            let peer = peer.to_canonical();
            let connect = Connect { direction, protocol, peer, port };
            vec![decide(reached(direction, protocol, peer, port), &[Activity::Connect(connect)])]
        };
        match self {
            Action::Execute { path, argv } => match interpreter(path) {
                None => vec![execute(&resolved(path), argv)],
                Some((interpreter, argument)) => {
                    let rest = argv.iter().skip(1).copied();
                    let words: Vec<&str> = [interpreter]
                        .into_iter()
                        .chain(argument)
                        .chain([path.as_str()])
                        .chain(rest)
                        .collect();
                    vec![execute(&resolved(path), argv), execute(interpreter, &words)]
                }
            },
            Action::Open { path, how } => {
                let subject = Subject { executable: actor.executable.as_bytes(), uid: actor.uid };
                let access = |operation: &FileOperation| {
                    Activity::File(FileAccess {
                        path: path.as_bytes(),
                        operation: *operation,
                        actor: subject,
                    })
                };
                let steps = how.operations().iter();
                steps
                    .map(|together| {
                        let accesses: Vec<_> = together.iter().map(access).collect();
                        decide(format!("open {path}"), &accesses)
                    })
                    .collect()
            }
            Action::Change(change) => change.said(rules, actor),
            Action::Reach { protocol, peer, port, .. } => connect(Direction::Egress, *protocol, peer, *port),
            Action::Listen { protocol, address, port } => {
                connect(Direction::Listen, *protocol, address, *port)
            }
            Action::Call(name) => vec![decide(format!("call {name}"), &[Activity::Syscall(name)])],
            Action::Use(name) => vec![decide(format!("use {name}"), &[Activity::Capability(name)])],
        }
    }
}

/// What a record is about, as in [`Said`].
pub fn subject(act: &Act) -> String {
    let text = |path: &[u8]| path.escape_ascii().to_string();
    match act {
        Act::Exec { path, .. } => format!("execute {}", text(path)),
        Act::File { path, .. } => format!("open {}", text(path)),
        Act::Connect { direction, protocol, peer, port } => {
            reached(*direction, *protocol, peer.to_canonical(), *port)
        }
        Act::Syscall { name } => format!("call {name}"),
        Act::Capability { name } => format!("use {name}"),
        Act::Tampering { what } => (*what).into(),
        Act::Repeated => "repeated".into(),
    }
}

fn reached(direction: Direction, protocol: Protocol, peer: IpAddr, port: u16) -> String {
    format!("{direction:?} {} {peer} {port}", protocol.name())
}

impl Opening {
    fn verb(self) -> &'static str {
        match self {
            Opening::Read => "read",
            Opening::Write => "write",
            Opening::Update => "update",
            Opening::Empty => "empty",
        }
    }

    /// By the question that they are asked in: the kernel opens first, and truncates then.
    fn operations(self) -> &'static [&'static [FileOperation]] {
        match self {
            Opening::Read => &[&[FileOperation::Read]],
            Opening::Write => &[&[FileOperation::Write]],
            Opening::Update => &[&[FileOperation::Read, FileOperation::Write]],
            Opening::Empty => &[&[FileOperation::Write], &[FileOperation::Truncate]],
        }
    }
}

impl Kind {
    fn weight(self) -> usize {
        match self {
            Kind::Execution => 40,
            Kind::Open => 24,
            Kind::Change | Kind::Connection => 20,
            Kind::Script | Kind::Listening => 8,
            Kind::Call | Kind::Capability => 4,
        }
    }
}

pub(super) fn stronger(one: Option<usize>, other: Verdict<'_>) -> Option<usize> {
    let other = match other {
        Verdict::Match { index, .. } => Some(index),
        Verdict::NoMatch | Verdict::NeedsArguments => None,
    };
    one.into_iter().chain(other).min()
}

/// The path, or another one through a link.
fn approach(choice: &mut Choice, path: &'static str) -> String {
    let (link, directory) = LINKED;
    match path.strip_prefix(directory) {
        Some(rest) if choice.chance(20) => format!("{link}{rest}"),
        _ => path.to_owned(),
    }
}

fn resolved(path: &str) -> String {
    let (link, directory) = LINKED;
    path.strip_prefix(link).map_or_else(|| path.to_owned(), |rest| format!("{directory}{rest}"))
}

fn interpreter(path: &str) -> Option<(&'static str, Option<&'static str>)> {
    let path = resolved(path);
    SCRIPTS
        .iter()
        .find(|(script, _, _)| *script == path)
        .map(|(_, interpreter, argument)| (*interpreter, *argument))
}
