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
        arguments: Some(b"x"),
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
        arguments: Some(b"sh -c id"),
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
        (Exec { arguments: Some(b"sh -ci"), ..all }, false),
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

    let known = Activity::Exec(Exec { arguments: Some(b"sh top secret"), ..exec("/bin/sh") });
    assert_eq!(name(evaluator.decide(&known).enforced).as_deref(), Some("first"));
    let other = Activity::Exec(Exec { arguments: Some(b"sh"), ..exec("/bin/sh") });
    assert_eq!(name(evaluator.decide(&other).enforced).as_deref(), Some("second"));
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
        arguments: Some(b"sh -c id"),
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
