use std::net::Ipv4Addr;
use std::sync::Arc;

use moat_event::{Origin, Protocol, Severity};

use super::*;
use crate::activity::{Actor, Exec, FileAccess};
use crate::model::DriftMatcher;

fn rule(action: RuleAction, enforced: bool) -> EffectiveRule {
    EffectiveRule {
        policy: Arc::from("p"),
        rule: Arc::from("r"),
        severity: Severity::High,
        action,
        enforced,
        matcher: Matcher::Syscalls(Vec::new().into()),
    }
}

fn exec(path: &[u8], source: FileSource) -> Activity<'_> {
    Activity::Exec(Exec { path, arguments: None, ancestors: &[], uid: 0, origin: Origin::Entrypoint, source })
}

fn file(path: &[u8], operation: FileOperation) -> Activity<'_> {
    Activity::File(FileAccess { path, operation, actor: Actor::default() })
}

#[test]
fn a_read_says_exactly_what_the_event_format_promises() {
    assert_eq!(
        message(&rule(RuleAction::Block, true), &file(b"/etc/passwd", FileOperation::Read), "nginx"),
        "File access to /etc/passwd by nginx container is prohibited by policy."
    );
}

#[test]
fn every_act_has_its_sentence() {
    let block = rule(RuleAction::KillProcess, true);
    let drift = EffectiveRule { matcher: Matcher::Drift(DriftMatcher::default().into()), ..block.clone() };
    let connect = |direction, peer: &str| {
        let peer = peer.parse().unwrap();
        Activity::Connect(Connect { direction, protocol: Protocol::Tcp, peer, port: 443 })
    };
    let raw = Activity::Connect(Connect {
        direction: Direction::Egress,
        protocol: Protocol::Raw,
        peer: Ipv4Addr::UNSPECIFIED.into(),
        port: 0,
    });
    let applet = match exec(b"/bin/busybox", FileSource::Image) {
        Activity::Exec(exec) => Activity::Exec(Exec { arguments: Some(b"/x/wg\x1bet\0"), ..exec }),
        other => other,
    };
    let sentences = [
        message(&block, &exec(b"/bin/sh", FileSource::Image), "nginx"),
        message(&drift, &exec(b"/tmp/x", FileSource::Added), "nginx"),
        message(&drift, &exec(b"/memfd:x", FileSource::Fileless), "nginx"),
        message(&block, &file(b"/etc/a", FileOperation::Chmod), "nginx"),
        message(&block, &connect(Direction::Egress, "::ffff:10.0.0.1"), "nginx"),
        message(&block, &connect(Direction::Egress, "2001:db8::1"), "nginx"),
        message(&block, &connect(Direction::Ingress, "10.0.0.1"), "nginx"),
        message(&block, &connect(Direction::Listen, "::"), "nginx"),
        message(&block, &raw, "nginx"),
        message(&block, &applet, "nginx"),
        message(&block, &Activity::Syscall("ptrace"), "nginx"),
        message(&block, &Activity::Capability("NET_ADMIN"), "nginx"),
    ];
    insta::assert_snapshot!(sentences.join("\n"), @r"
    Execution of /bin/sh by nginx container is prohibited by policy.
    Execution of /tmp/x, which is not part of the image, by nginx container is prohibited by policy.
    Execution of fileless code /memfd:x by nginx container is prohibited by policy.
    Change of mode of /etc/a by nginx container is prohibited by policy.
    TCP connection to 10.0.0.1:443 by nginx container is prohibited by policy.
    TCP connection to [2001:db8::1]:443 by nginx container is prohibited by policy.
    Acceptance of TCP from 10.0.0.1 on port 443 by nginx container is prohibited by policy.
    Listening for TCP on [::]:443 by nginx container is prohibited by policy.
    Opening of a raw socket by nginx container is prohibited by policy.
    Execution of /bin/busybox as wg\u{1b}et by nginx container is prohibited by policy.
    System call ptrace by nginx container is prohibited by policy.
    Use of capability NET_ADMIN by nginx container is prohibited by policy.
    ");
}

#[test]
fn audit_and_alert_do_not_claim_a_refusal() {
    let sentence = |action, enforced| message(&rule(action, enforced), &Activity::Syscall("bpf"), "c");
    assert_eq!(
        sentence(RuleAction::Block, false),
        "System call bpf by c container would be prohibited by policy."
    );
    assert_eq!(sentence(RuleAction::Alert, true), "System call bpf by c container is reported by policy.");
    assert_eq!(
        sentence(RuleAction::Alert, false),
        "System call bpf by c container would be reported by policy."
    );
}

#[test]
fn hostile_names_stay_on_the_line() {
    assert_eq!(
        message(&rule(RuleAction::Block, true), &exec(b"/tmp/\n\x1b[2J\xff", FileSource::Image), "a\nb"),
        r"Execution of /tmp/\n\u{1b}[2J\xff by a\nb container is prohibited by policy."
    );
}
