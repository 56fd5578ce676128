//! Each clause of the semantics, by table.

use std::net::IpAddr;

use moat_event::{Direction, FileOperation, Origin, Protocol, Severity};

use super::*;
use crate::activity::{Actor, Connect, Exec, FileAccess, FileSource};
use crate::model::{
    DriftMatcher, ExecutableList, FileException, FileMatcher, NetworkException, NetworkMatcher,
    OriginMatcher, ProcessMatcher, RuleAction,
};
use crate::rule_set::{self, EffectiveRule};

const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\n";

fn list(entries: &[&str]) -> Vec<String> {
    entries.iter().map(|&entry| entry.to_owned()).collect()
}

fn rule(name: &str, enforced: bool, matcher: rule_set::Matcher) -> EffectiveRule {
    EffectiveRule {
        policy: "policy".into(),
        rule: name.into(),
        severity: Severity::High,
        action: RuleAction::Block,
        enforced,
        matcher,
    }
}

fn evaluator(rules: Vec<EffectiveRule>) -> Evaluator {
    let rules = RuleSet { generation: 7, hash: String::new(), rules };
    Evaluator::new(Arc::new(rules), &Users::parse(PASSWD)).unwrap()
}

fn only(matcher: rule_set::Matcher) -> Evaluator {
    evaluator(vec![rule("r", true, matcher)])
}

fn process(matcher: ProcessMatcher) -> Evaluator {
    only(rule_set::Matcher::Process(matcher.into()))
}

fn exec(path: &str) -> Exec<'_> {
    Exec {
        path: path.as_bytes(),
        arguments: Some(b"x\0"),
        ancestors: &[],
        uid: 1000,
        origin: Origin::Entrypoint,
        source: FileSource::Image,
    }
}

fn denies(evaluator: &Evaluator, activity: Activity<'_>) -> bool {
    evaluator.decide(&activity).enforced.rule().is_some()
}

#[track_caller]
fn check(evaluator: &Evaluator, activity: Activity<'_>, denied: bool) {
    assert_eq!(denies(evaluator, activity), denied, "{activity:?}");
}

#[test]
fn executable_selectors_are_any_of() {
    let evaluator = process(ProcessMatcher {
        names: list(&["sh"]),
        name_regex: Some("^(z|k)sh$".into()),
        paths: list(&["/opt/tool"]),
        path_globs: list(&["/tmp/**"]),
        ..ProcessMatcher::default()
    });
    for (path, denied) in [
        ("/bin/sh", true),
        ("/sh", true),
        ("/bin/sh/x", false),
        ("/usr/bin/zsh", true),
        ("/usr/bin/zshx", false),
        ("/zsh/x", false),
        ("/opt/tool", true),
        ("/x/opt/tool", false),
        ("/tmp/a/b", true),
        ("/tmpx", false),
    ] {
        check(&evaluator, Activity::Exec(exec(path)), denied);
    }
}

#[test]
fn no_selector_is_every_executable() {
    check(&process(ProcessMatcher::default()), Activity::Exec(exec("/bin/any")), true);
}

#[test]
fn narrowing_clauses_must_all_hold() {
    let evaluator = process(ProcessMatcher {
        names: list(&["sh"]),
        args_regex: Some("(^| )-c( |$)".into()),
        parents: list(&["nginx", "/usr/bin/php"]),
        users: list(&["www-data", "7", "ghost"]),
        origin: OriginMatcher::ExecSession,
        ..ProcessMatcher::default()
    });
    let all = Exec {
        path: b"/bin/sh",
        arguments: Some(b"sh\0-c\0id\0"),
        ancestors: &[b"/bin/dash", b"/usr/sbin/nginx"],
        uid: 33,
        origin: Origin::ExecSession,
        source: FileSource::Image,
    };
    let cases: [(Exec<'_>, bool); 9] = [
        (all, true),
        (Exec { uid: 7, ..all }, true),
        (Exec { ancestors: &[b"/usr/bin/php"], ..all }, true),
        (Exec { path: b"/bin/bash", ..all }, false),
        (Exec { arguments: Some(b"sh\0-ci\0"), ..all }, false),
        (Exec { ancestors: &[b"/usr/local/bin/php"], ..all }, false),
        (Exec { ancestors: &[], ..all }, false),
        (Exec { uid: 0, ..all }, false),
        (Exec { origin: Origin::Entrypoint, ..all }, false),
    ];
    for (exec, denied) in cases {
        check(&evaluator, Activity::Exec(exec), denied);
    }
    assert_eq!(evaluator.unresolved_users(), BTreeSet::from(["ghost"]));
}

#[test]
fn entrypoint_and_any_origin() {
    let matcher = |origin| process(ProcessMatcher { origin, ..ProcessMatcher::default() });
    let session = Exec { origin: Origin::ExecSession, ..exec("/bin/sh") };
    check(&matcher(OriginMatcher::Entrypoint), Activity::Exec(exec("/bin/sh")), true);
    check(&matcher(OriginMatcher::Entrypoint), Activity::Exec(session), false);
    check(&matcher(OriginMatcher::Any), Activity::Exec(session), true);
}

#[test]
fn exceptions_exclude_by_any_of_their_lists() {
    let evaluator = process(ProcessMatcher {
        path_globs: list(&["/usr/**"]),
        except: Some(ExecutableList {
            names: list(&["true"]),
            paths: list(&["/usr/bin/id"]),
            path_globs: list(&["/usr/lib/*"]),
        }),
        ..ProcessMatcher::default()
    });
    for (path, denied) in
        [("/usr/bin/sh", true), ("/usr/x/true", false), ("/usr/bin/id", false), ("/usr/lib/a", false)]
    {
        check(&evaluator, Activity::Exec(exec(path)), denied);
    }
}

#[test]
fn an_allow_list_matches_everything_else() {
    let evaluator = process(ProcessMatcher {
        allow_only: Some(ExecutableList {
            names: list(&["nginx"]),
            paths: list(&["/usr/bin/envsubst"]),
            path_globs: list(&["/docker-entrypoint.d/*.sh"]),
        }),
        users: list(&["1000"]),
        ..ProcessMatcher::default()
    });
    for (path, denied) in [
        ("/usr/sbin/nginx", false),
        ("/usr/bin/envsubst", false),
        ("/docker-entrypoint.d/10.sh", false),
        ("/docker-entrypoint.d/x/10.sh", true),
        ("/bin/sh", true),
    ] {
        check(&evaluator, Activity::Exec(exec(path)), denied);
    }
    check(&evaluator, Activity::Exec(Exec { uid: 0, ..exec("/bin/sh") }), false);
}

#[test]
fn unknown_arguments_are_asked_for_only_where_they_could_decide() {
    let by_arguments = |path: &str| {
        rule_set::Matcher::Process(
            ProcessMatcher {
                names: list(&[path]),
                args_regex: Some("secret".into()),
                ..ProcessMatcher::default()
            }
            .into(),
        )
    };
    let by_name = rule_set::Matcher::Process(
        ProcessMatcher { names: list(&["sh", "id"]), ..ProcessMatcher::default() }.into(),
    );
    let evaluator = evaluator(vec![
        rule("first", true, by_arguments("sh")),
        rule("audited", false, by_name.clone()),
        rule("second", true, by_name),
        rule("third", true, by_arguments("id")),
        rule("fourth", true, by_arguments("ls")),
    ]);
    let unknown = |path| Activity::Exec(Exec { arguments: None, ..exec(path) });
    let name = |verdict: Verdict<'_>| verdict.rule().map(|rule| rule.rule.to_string());

    let shell = unknown("/bin/sh");
    assert_eq!(evaluator.decide(&shell).enforced, Verdict::NeedsArguments);
    assert_eq!(name(evaluator.decide(&shell).audited).as_deref(), Some("audited"), "audit asks for nothing");
    let id = unknown("/bin/id");
    assert_eq!(name(evaluator.decide(&id).enforced).as_deref(), Some("second"), "a stronger rule is known");
    assert_eq!(evaluator.decide(&unknown("/bin/ls")).enforced, Verdict::NeedsArguments);
    assert_eq!(evaluator.decide(&unknown("/bin/cat")).enforced, Verdict::NoMatch);

    let known = Activity::Exec(Exec { arguments: Some(b"sh\0top secret\0"), ..exec("/bin/sh") });
    assert_eq!(name(evaluator.decide(&known).enforced).as_deref(), Some("first"));
    let other = Activity::Exec(Exec { arguments: Some(b"sh\0"), ..exec("/bin/sh") });
    assert_eq!(name(evaluator.decide(&other).enforced).as_deref(), Some("second"));
}

/// A program with its arguments, each of which ends with a NUL.
fn started<'a>(path: &'a str, argv: &'a str) -> Activity<'a> {
    Activity::Exec(Exec { arguments: Some(argv.as_bytes()), ..exec(path) })
}

#[test]
fn rules_mean_a_multicall_program_by_its_file_and_by_its_applet() {
    let by_name = process(ProcessMatcher { names: list(&["wget", "toybox"]), ..ProcessMatcher::default() });
    let by_regex =
        process(ProcessMatcher { name_regex: Some("^(wget|toybox)$".into()), ..ProcessMatcher::default() });
    let excepted = process(ProcessMatcher {
        names: list(&["wget", "toybox", "cat"]),
        except: Some(ExecutableList { names: list(&["cat"]), ..ExecutableList::default() }),
        ..ProcessMatcher::default()
    });
    for (path, argv, denied) in [
        ("/bin/busybox", "wget\0http://a\0", true),
        ("/bin/busybox", "/bin/wget\0", true),
        ("/bin/busybox", "busybox\0wget\0", true),
        ("/bin/busybox", "-wget\0", true),
        ("/bin/busybox", "cat\0wget\0", false),
        ("/bin/busybox", "busybox wget\0", false),
        ("/bin/busybox", "busybox\0", false),
        ("/bin/toybox", "toybox\0", true),
        ("/bin/toybox", "ls\0", true),
        ("/usr/bin/wget", "x\0", true),
        ("/bin/sh", "wget\0", false),
    ] {
        for evaluator in [&by_name, &by_regex, &excepted] {
            check(evaluator, started(path, argv), denied);
        }
    }
    check(&excepted, started("/bin/toybox", "cat\0"), false);
}

#[test]
fn what_passes_by_name_is_the_applet_and_not_the_multicall_program() {
    let allow = |list| process(ProcessMatcher { allow_only: Some(list), ..ProcessMatcher::default() });
    let by_name = |names| ExecutableList { names: list(names), ..ExecutableList::default() };
    let file = allow(by_name(&["busybox"]));
    let applet = allow(by_name(&["cat"]));
    let path = allow(ExecutableList { paths: list(&["/bin/busybox"]), ..ExecutableList::default() });
    let glob = allow(ExecutableList { path_globs: list(&["/bin/*"]), ..ExecutableList::default() });
    for (argv, [by_file, by_applet]) in [
        ("busybox\0", [true, false]),
        ("busybox\0wget\0", [false, false]),
        ("wget\0", [false, false]),
        ("busybox\0cat\0", [false, true]),
        ("/bin/cat\0/etc/passwd\0", [false, true]),
        ("busybox\0--list\0", [false, false]),
    ] {
        let activity = started("/bin/busybox", argv);
        check(&file, activity, !by_file);
        check(&applet, activity, !by_applet);
        check(&path, activity, false);
        check(&glob, activity, false);
    }
    check(&applet, started("/bin/cat", "busybox\0wget\0"), false);

    let drift = only(rule_set::Matcher::Drift(
        DriftMatcher { execute: true, fileless: false, except: Some(by_name(&["cat", "busybox"])) }.into(),
    ));
    for (argv, denied) in [("cat\0", false), ("busybox\0", false), ("wget\0", true), ("busybox\0sh\0", true)]
    {
        let exec =
            Exec { arguments: Some(argv.as_bytes()), source: FileSource::Added, ..exec("/tmp/busybox") };
        check(&drift, Activity::Exec(exec), denied);
    }
}

#[test]
fn the_applet_is_asked_for_only_where_it_could_decide() {
    use Asked::{Allowed, Denied, Unknown};

    #[derive(Debug, PartialEq)]
    enum Asked {
        Denied,
        Allowed,
        Unknown,
    }
    let names = |names: &[&str]| ExecutableList { names: list(names), ..ExecutableList::default() };
    let paths = |paths: &[&str]| ExecutableList { paths: list(paths), ..ExecutableList::default() };
    let rule = ProcessMatcher::default;
    for (matcher, busybox, shell) in [
        (ProcessMatcher { names: list(&["wget"]), ..rule() }, Unknown, Allowed),
        (ProcessMatcher { names: list(&["busybox", "sh"]), ..rule() }, Denied, Denied),
        (ProcessMatcher { name_regex: Some("^w".into()), ..rule() }, Unknown, Allowed),
        (ProcessMatcher { paths: list(&["/bin/busybox"]), ..rule() }, Denied, Allowed),
        (ProcessMatcher { paths: list(&["/bin/sh"]), ..rule() }, Allowed, Denied),
        (ProcessMatcher { users: list(&["1000"]), ..rule() }, Denied, Denied),
        (ProcessMatcher { users: list(&["1000"]), except: Some(names(&["ls"])), ..rule() }, Unknown, Denied),
        (ProcessMatcher { names: list(&["wget"]), users: list(&["7"]), ..rule() }, Allowed, Allowed),
        (
            ProcessMatcher { names: list(&["w"]), except: Some(paths(&["/bin/busybox"])), ..rule() },
            Allowed,
            Allowed,
        ),
        (ProcessMatcher { allow_only: Some(names(&["busybox"])), ..rule() }, Unknown, Denied),
        (ProcessMatcher { allow_only: Some(paths(&["/bin/busybox"])), ..rule() }, Allowed, Denied),
        (ProcessMatcher { allow_only: Some(paths(&["/bin/sh"])), ..rule() }, Denied, Allowed),
    ] {
        let described = format!("{matcher:?}");
        let evaluator = process(matcher);
        let ask =
            |path| match evaluator.decide(&Activity::Exec(Exec { arguments: None, ..exec(path) })).enforced {
                Verdict::NoMatch => Allowed,
                Verdict::Match { .. } => Denied,
                Verdict::NeedsArguments => Unknown,
            };
        assert_eq!((ask("/bin/busybox"), ask("/bin/sh")), (busybox, shell), "{described}");
    }
}

#[test]
fn file_clauses() {
    use FileOperation::{Chmod, Read, Write};

    let evaluator = only(rule_set::Matcher::File(
        FileMatcher {
            paths: list(&["/etc/**", "/srv/*.key"]),
            operations: vec![FileOperation::Read, FileOperation::Write],
            processes: list(&["cat", "/opt/tool"]),
            users: list(&["root", "www-data"]),
            except: Some(FileException {
                paths: list(&["/etc/ssl/**"]),
                processes: list(&["/sbin/cat"]),
                users: list(&["33"]),
            }),
        }
        .into(),
    ));
    let access = |path: &'static str, operation, executable: &'static str, uid| {
        Activity::File(FileAccess {
            path: path.as_bytes(),
            operation,
            actor: Actor { executable: executable.as_bytes(), uid },
        })
    };
    for (activity, denied) in [
        (access("/etc/passwd", Read, "/bin/cat", 0), true),
        (access("/etc", Write, "/opt/tool", 0), true),
        (access("/srv/a.key", Read, "/bin/cat", 0), true),
        (access("/srv/a/b.key", Read, "/bin/cat", 0), false),
        (access("/etc/passwd", Chmod, "/bin/cat", 0), false),
        (access("/etc/passwd", Read, "/bin/tac", 0), false),
        (access("/etc/passwd", Read, "/usr/opt/tool", 0), false),
        (access("/etc/passwd", Read, "/sbin/cat", 0), false),
        (access("/etc/passwd", Read, "/bin/cat", 1), false),
        (access("/etc/passwd", Read, "/bin/cat", 33), false),
        (access("/etc/ssl/key", Read, "/bin/cat", 0), false),
    ] {
        check(&evaluator, activity, denied);
    }
}

fn network(matcher: NetworkMatcher) -> Evaluator {
    only(rule_set::Matcher::Network(matcher.into()))
}

fn egress() -> NetworkMatcher {
    NetworkMatcher {
        direction: Direction::Egress,
        cidrs: Vec::new(),
        ports: Vec::new(),
        protocols: Vec::new(),
        except: None,
    }
}

fn connect(peer: &str, port: u16, protocol: Protocol) -> Connect {
    let peer: IpAddr = peer.parse().unwrap();
    Connect { direction: Direction::Egress, protocol, peer, port }
}

#[test]
fn network_clauses() {
    let evaluator = network(NetworkMatcher {
        cidrs: list(&["10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.0/120"]),
        ports: list(&["443", "1-100"]),
        protocols: vec![Protocol::Tcp],
        except: Some(NetworkException { cidrs: list(&["10.1.0.0/16"]), ports: list(&["80"]) }),
        ..egress()
    });
    for (peer, port, protocol, denied) in [
        ("10.2.3.4", 443, Protocol::Tcp, true),
        ("10.2.3.4", 1, Protocol::Tcp, true),
        ("10.2.3.4", 100, Protocol::Tcp, true),
        ("10.2.3.4", 101, Protocol::Tcp, false),
        ("10.2.3.4", 443, Protocol::Udp, false),
        ("11.2.3.4", 443, Protocol::Tcp, false),
        ("::ffff:10.2.3.4", 443, Protocol::Tcp, true),
        ("192.0.2.9", 443, Protocol::Tcp, true),
        ("2001:db8::9", 443, Protocol::Tcp, true),
        ("2001:db9::9", 443, Protocol::Tcp, false),
        ("10.1.3.4", 80, Protocol::Tcp, false),
        ("10.1.3.4", 81, Protocol::Tcp, true),
        ("10.2.3.4", 80, Protocol::Tcp, true),
    ] {
        check(&evaluator, Activity::Connect(connect(peer, port, protocol)), denied);
    }
    let ingress = Connect { direction: Direction::Ingress, ..connect("10.2.3.4", 443, Protocol::Tcp) };
    check(&evaluator, Activity::Connect(ingress), false);
}

#[test]
fn empty_network_lists_are_all() {
    let activity = Activity::Connect(connect("192.0.2.1", 53, Protocol::Udp));
    check(&network(egress()), activity, true);
    let except = |cidrs, ports| {
        let except = NetworkException { cidrs: list(cidrs), ports: list(ports) };
        network(NetworkMatcher { except: Some(except), ..egress() })
    };
    check(&except(&[], &["53"]), activity, false);
    check(&except(&["192.0.2.0/24"], &[]), activity, false);
    check(&except(&["192.0.3.0/24"], &[]), activity, true);
    check(&except(&[], &[]), activity, true);
}

#[test]
fn listening_is_judged_by_the_local_address_and_port() {
    let listen = |cidrs: &[&str], except: Option<NetworkException>| {
        network(NetworkMatcher {
            direction: Direction::Listen,
            cidrs: list(cidrs),
            ports: list(&["1-1023"]),
            protocols: vec![Protocol::Tcp],
            except,
        })
    };
    let at = |address, port, protocol| {
        Activity::Connect(Connect { direction: Direction::Listen, ..connect(address, port, protocol) })
    };
    let evaluator = listen(&["10.0.0.0/8"], None);
    for (address, port, protocol, denied) in [
        ("10.1.2.3", 80, Protocol::Tcp, true),
        ("10.1.2.3", 80, Protocol::Udp, false),
        ("10.1.2.3", 8080, Protocol::Tcp, false),
        ("10.1.2.3", 0, Protocol::Tcp, false),
        ("127.0.0.1", 80, Protocol::Tcp, false),
        // All addresses are this one too.
        ("0.0.0.0", 80, Protocol::Tcp, true),
        ("::", 80, Protocol::Tcp, true),
        ("0.0.0.0", 8080, Protocol::Tcp, false),
        ("::1", 80, Protocol::Tcp, false),
    ] {
        check(&evaluator, at(address, port, protocol), denied);
    }
    let of_ipv6 = listen(&["2001:db8::/32"], None);
    check(&of_ipv6, at("::", 80, Protocol::Tcp), true);
    check(&of_ipv6, at("0.0.0.0", 80, Protocol::Tcp), false);

    let local = NetworkException { cidrs: list(&["127.0.0.0/8"]), ports: Vec::new() };
    let but_local = listen(&[], Some(local));
    check(&but_local, at("127.0.0.1", 80, Protocol::Tcp), false);
    check(&but_local, at("0.0.0.0", 80, Protocol::Tcp), true);

    check(&evaluator, Activity::Connect(connect("10.1.2.3", 80, Protocol::Tcp)), false);
    check(&network(egress()), at("10.1.2.3", 80, Protocol::Tcp), false);
    let connection = network(NetworkMatcher { cidrs: list(&["10.0.0.0/8"]), ..egress() });
    check(&connection, Activity::Connect(connect("0.0.0.0", 80, Protocol::Tcp)), false);
    assert_eq!(
        evaluator.reason(0, &at("::", 80, Protocol::Tcp)),
        "address :: stands for all, also those in 10.0.0.0/8; port 80 is in 1-1023; protocol is TCP"
    );
}

#[test]
fn raw_sockets_are_meant_only_where_listed() {
    let of = |protocols| network(NetworkMatcher { protocols, ..egress() });
    let raw = Activity::Connect(connect("0.0.0.0", 0, Protocol::Raw));
    check(&of(vec![]), raw, false);
    check(&of(vec![Protocol::Tcp, Protocol::Udp]), raw, false);
    let listed = of(vec![Protocol::Udp, Protocol::Raw]);
    check(&listed, raw, true);
    check(&listed, Activity::Connect(connect("192.0.2.1", 53, Protocol::Udp)), true);
    check(&listed, Activity::Connect(connect("192.0.2.1", 53, Protocol::Tcp)), false);
    assert_eq!(listed.reason(0, &raw), "protocol is Raw");
}

#[test]
fn capabilities_match_by_name() {
    let evaluator = only(rule_set::Matcher::Capabilities(list(&["NET_ADMIN", "BPF"]).into()));
    check(&evaluator, Activity::Capability("BPF"), true);
    check(&evaluator, Activity::Capability("SYS_ADMIN"), false);
    check(&evaluator, Activity::Syscall("BPF"), false);
    assert_eq!(evaluator.reason(0, &Activity::Capability("BPF")), "capability `BPF` is in capabilities");
}

#[test]
fn drift_clauses() {
    use FileSource::{Added, Fileless, Image};

    let drift = |execute, fileless| {
        only(rule_set::Matcher::Drift(
            DriftMatcher {
                execute,
                fileless,
                except: Some(ExecutableList { names: list(&["jit"]), ..ExecutableList::default() }),
            }
            .into(),
        ))
    };
    let from = |source, path| Activity::Exec(Exec { source, ..exec(path) });
    for (execute, fileless, source, denied) in [
        (true, true, Image, false),
        (true, false, Added, true),
        (false, true, Added, false),
        (true, false, Fileless, false),
        (false, true, Fileless, true),
    ] {
        check(&drift(execute, fileless), from(source, "/tmp/x"), denied);
        check(&drift(execute, fileless), from(source, "/tmp/jit"), false);
    }
}

#[test]
fn system_calls_match_by_name() {
    let evaluator = only(rule_set::Matcher::Syscalls(list(&["ptrace", "bpf"]).into()));
    check(&evaluator, Activity::Syscall("bpf"), true);
    check(&evaluator, Activity::Syscall("read"), false);
    check(&evaluator, Activity::Exec(exec("/bin/bpf")), false);
}

#[test]
fn the_first_rule_of_each_kind_decides() {
    let any = || rule_set::Matcher::Process(ProcessMatcher::default().into());
    let evaluator = evaluator(vec![
        rule("a", false, any()),
        rule("b", true, any()),
        rule("c", true, any()),
        rule("d", false, any()),
    ]);
    let activity = Activity::Exec(exec("/bin/sh"));
    let decision = evaluator.decide(&activity);
    assert_eq!(decision.generation, 7);
    assert!(matches!(decision.enforced, Verdict::Match { index: 1, .. }), "{decision:?}");
    assert!(matches!(decision.audited, Verdict::Match { index: 0, .. }), "{decision:?}");
    let once = decide(evaluator.rules(), &Users::default(), &activity).unwrap();
    assert_eq!(once, decision);
}

#[test]
fn reasons_name_each_clause() {
    let evaluator = process(ProcessMatcher {
        names: list(&["sh"]),
        args_regex: Some(r"(^|\s)-c(\s|$)".into()),
        parents: list(&["nginx"]),
        users: list(&["www-data"]),
        origin: OriginMatcher::ExecSession,
        ..ProcessMatcher::default()
    });
    let activity = Exec {
        path: b"/tmp/\n/sh",
        arguments: Some(b"sh\0-c\0id\0"),
        ancestors: &[b"/bin/dash", b"/usr/sbin/nginx"],
        uid: 33,
        origin: Origin::ExecSession,
        source: FileSource::Image,
    };
    assert_eq!(
        evaluator.reason(0, &Activity::Exec(activity)),
        r"executable name `sh` is in names; arguments match `(^|\s)-c(\s|$)`; ancestor nginx; user www-data (33); started from outside by an exec session"
    );
    assert_eq!(evaluator.reason(0, &Activity::Exec(exec("/bin/id"))), "");

    let allow_list =
        process(ProcessMatcher { allow_only: Some(ExecutableList::default()), ..ProcessMatcher::default() });
    assert_eq!(
        allow_list.reason(0, &Activity::Exec(exec("/a\n\u{202e}b"))),
        r"executable `/a\n\u{202e}b` is not in allowOnly"
    );
    assert_eq!(
        allow_list.reason(0, &started("/bin/busybox", "wget\0")),
        "applet `wget` of `/bin/busybox` is not in allowOnly"
    );
    let applets = process(ProcessMatcher {
        names: list(&["wget"]),
        name_regex: Some("^n?c$".into()),
        ..ProcessMatcher::default()
    });
    for (argv, reason) in [
        ("wget\0", "applet `wget` of `/bin/busybox` is in names"),
        ("busybox\0nc\0", "applet `nc` of `/bin/busybox` matches `^n?c$`"),
    ] {
        assert_eq!(applets.reason(0, &started("/bin/busybox", argv)), reason);
    }
    assert_eq!(
        applets.reason(0, &Activity::Exec(Exec { arguments: None, ..exec("/bin/busybox") })),
        "which applet of `/bin/busybox` it is decides, and the arguments are not known"
    );
    let connection = network(NetworkMatcher {
        cidrs: list(&["10.0.0.0/8"]),
        ports: list(&["1-1024"]),
        protocols: vec![Protocol::Tcp],
        ..egress()
    });
    assert_eq!(
        connection.reason(0, &Activity::Connect(connect("10.2.3.4", 80, Protocol::Tcp))),
        "peer 10.2.3.4 is in 10.0.0.0/8; port 80 is in 1-1024; protocol is TCP"
    );
}

#[test]
fn a_rule_that_does_not_compile_is_named() {
    let matcher = ProcessMatcher { args_regex: Some("(".into()), ..ProcessMatcher::default() };
    let rules = RuleSet {
        generation: 1,
        hash: String::new(),
        rules: vec![rule("broken", true, rule_set::Matcher::Process(matcher.into()))],
    };
    let error = Evaluator::new(Arc::new(rules), &Users::default()).unwrap_err();
    assert_eq!(error.to_string(), "rule broken of policy policy: regular expression `(`: unclosed group");
}
