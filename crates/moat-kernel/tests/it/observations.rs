//! What containers do is told whether or not a rule speaks of it, once and then by its number; and nothing of others is.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Instant;

use moat_event::{Direction, LossStage, Origin, Protocol};
use moat_kernel::{Act, Driver, Observation};
use moat_policy::activity::FileSource;
use moat_policy::model::{ProcessMatcher, RuleAction};

use crate::node::{DEADLINE, Node, process, rule, text};

/// The next one that is about `wanted`; all on the way to it must be of this container.
fn observation(node: &Node, cgroup: u64, wanted: impl Fn(&Act) -> bool) -> Observation {
    loop {
        let seen = node.observations.recv_timeout(DEADLINE).expect("it is observed");
        assert_eq!(seen.cgroup, cgroup, "{seen:?}");
        if wanted(&seen.act) {
            return seen;
        }
    }
}

fn runs(path: &str) -> impl Fn(&Act) -> bool + '_ {
    move |act| matches!(act, Act::Exec { path: ran, .. } if ran == path.as_bytes())
}

#[test]
fn a_container_without_rules_is_observed_and_nothing_else_is() {
    let Some(mut node) = Node::observing() else { return };
    let (running, scope) = node.container("observed", Vec::new());
    // It was held: its first program ran before the container was known.
    let first = observation(&node, scope.cgroup, |act| matches!(act, Act::Exec { .. }));
    assert_eq!((first.process.pid, first.process.origin), (running.pid, Some(Origin::Entrypoint)));

    assert!(Command::new("/bin/busybox").args(["nc", "-w", "1", "127.0.0.1", "9"]).status().is_ok());
    let output = running.exec(&["/opt/touch", "/tmp/a b"]).unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let seen = observation(&node, scope.cgroup, runs("/opt/touch"));
    assert_eq!(seen.act, Act::Exec { path: b"/opt/touch".to_vec(), source: FileSource::Image });
    assert_eq!(seen.process.arguments, b"/opt/touch\0/tmp/a b\0");
    assert_eq!((seen.process.uid, seen.process.origin), (0, Some(Origin::ExecSession)));
    assert_eq!((seen.process.arguments_truncated, seen.count), (false, 1));

    let added = "mkdir /tmp/new; cp /opt/touch /tmp/new; /tmp/new/touch /tmp/b; true";
    assert!(running.exec(&["/opt/sh", "-c", added]).unwrap().status.success());
    let seen = observation(&node, scope.cgroup, runs("/tmp/new/touch"));
    assert!(matches!(seen.act, Act::Exec { source: FileSource::Added, .. }), "{seen:?}");
    assert_eq!(seen.process.parent_executable, b"/opt/sh");

    for (peer, address) in [("127.0.0.1", Ipv4Addr::LOCALHOST.into()), ("::1", "::1".parse().unwrap())] {
        running.exec(&["/bin/nc", "-w", "1", peer, "9"]).unwrap();
        let seen = observation(&node, scope.cgroup, |act| matches!(act, Act::Connect { .. }));
        let expected =
            Act::Connect { direction: Direction::Egress, protocol: Protocol::Tcp, peer: address, port: 9 };
        assert_eq!(seen.act, expected);
    }
    let unknown = node.guard.losses().iter().map(|loss| loss.events).sum::<u64>();
    assert_eq!(unknown, 0);
}

#[test]
fn what_is_done_again_is_counted() {
    const TIMES: u64 = 400;
    let Some(mut node) = Node::observing() else { return };
    let (running, _) = node.container("again", Vec::new());
    let again = format!(
        "i=0; while [ $i -lt {TIMES} ]; do /opt/touch /tmp/same; /bin/nc -w 1 127.0.0.1 9; i=$((i+1)); done"
    );
    running.exec(&["/opt/sh", "-c", &again]).unwrap();
    let Node { guard, observations, containerd: _containerd, .. } = node;
    // What was counted is told at the latest when the driver goes.
    drop(guard);
    let all: Vec<Observation> = observations.try_iter().collect();
    for (what, wanted) in [
        ("executions", &(|act: &Act| runs("/opt/touch")(act)) as &dyn Fn(&Act) -> bool),
        ("connections", &|act| matches!(act, Act::Connect { port: 9, .. })),
    ] {
        let counts: Vec<u64> = all.iter().filter(|seen| wanted(&seen.act)).map(|seen| seen.count).collect();
        assert_eq!(counts.iter().sum::<u64>(), TIMES, "{what}: {counts:?}");
        // Twice in the span in which it is counted.
        assert!(counts.len() <= 8, "{what}: {counts:?}");
    }
}

#[test]
fn a_container_that_does_too_many_different_things_loses_some_of_them_by_number() {
    const TIMES: u64 = 2000;
    let Some(mut node) = Node::observing() else { return };
    let (running, _) = node.container("different", Vec::new());
    let different = format!("i=0; while [ $i -lt {TIMES} ]; do /opt/touch /tmp/same $i; i=$((i+1)); done");
    running.exec(&["/opt/sh", "-c", &different]).unwrap();
    let (mut told, mut lost) = (0, 0);
    let began = Instant::now();
    while told + lost < TIMES && began.elapsed() < 2 * DEADLINE {
        let touches = node.observations.try_iter().filter(|seen| runs("/opt/touch")(&seen.act));
        told += touches.map(|seen| seen.count).sum::<u64>();
        let losses = node.guard.losses();
        lost =
            losses.iter().filter(|loss| loss.stage == LossStage::Observation).map(|loss| loss.events).sum();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(told > 0 && lost > 0, "{told} told, {lost} lost");
    assert_eq!(told + lost, TIMES);
}

#[test]
fn a_program_that_is_killed_before_it_runs_is_not_told_to_have_run() {
    let Some(mut node) = Node::observing() else { return };
    let evil = ProcessMatcher { args_regex: Some(String::from("evil")), ..ProcessMatcher::default() };
    let (running, scope) = node.container("killed", vec![rule("evil", RuleAction::Block, process(evil))]);
    assert!(!running.exec(&["/opt/touch", "/tmp/evil"]).unwrap().status.success());
    assert!(matches!(node.record().act, Act::Exec { .. }));
    assert!(running.exec(&["/opt/touch", "/tmp/fine"]).unwrap().status.success());
    let seen = observation(&node, scope.cgroup, runs("/opt/touch"));
    assert_eq!(seen.process.arguments, b"/opt/touch\0/tmp/fine\0");
}
