use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use moat_event::Origin;
use moat_kernel::{Act, ContainerScope, Driver, Outcome, Sink};
use moat_kernel::{DriverConfig, guard::Guard};
use moat_policy::model::{
    DriftMatcher, ExecutableList, NetworkMatcher, OriginMatcher, ProcessMatcher, RuleAction,
};
use moat_policy::rule_set::Matcher;

use moat_testkit::skip;

use crate::node::{DEADLINE, Node, process, rule, rule_set, scope, text};

#[test]
fn arguments_decide_before_the_first_instruction() {
    let Some(mut node) = Node::start() else { return };
    let arguments = ProcessMatcher {
        names: vec![String::from("touch")],
        args_regex: Some(String::from("evil[0-9]+")),
        ..ProcessMatcher::default()
    };
    let (running, scope) =
        node.container("arguments", vec![rule("evil", RuleAction::Block, process(arguments))]);

    let fine = running.exec(&["/opt/touch", "/tmp/fine"]).unwrap();
    assert!(fine.status.success(), "{}", text(&fine));
    let denied = running.exec(&["/opt/touch", "/tmp/evil42"]).unwrap();
    assert!(!denied.status.success(), "{}", text(&denied));

    let record = node.record();
    assert_eq!(record.cgroup, scope.cgroup);
    assert_eq!((record.generation, record.enforced, record.audited), (7, Some(0), None));
    assert_eq!(record.outcome, Outcome::Killed);
    assert_eq!(record.process.arguments, b"/opt/touch\0/tmp/evil42\0");
    assert_eq!(record.process.origin, Some(Origin::ExecSession));
    assert!(matches!(record.act, Act::Exec { ref path, .. } if path == b"/opt/touch"), "{record:?}");
    let listing = running.exec(&["/bin/ls", "/tmp"]).unwrap();
    assert_eq!(text(&listing), "fine\n", "the denied act had no effect");
}

#[test]
fn what_is_prepared_is_not_in_force_and_does_not_stay() {
    let Some(mut node) = Node::start() else { return };
    let (running, scope) = node.container("prepared", Vec::new());
    let touch = ProcessMatcher { names: vec![String::from("touch")], ..ProcessMatcher::default() };
    let rules = rule_set(vec![rule("no-touch", RuleAction::Block, process(touch))]);

    node.guard.prepare(&[(scope.clone(), Arc::clone(&rules)), (scope.clone(), Arc::clone(&rules))]);
    assert_eq!(node.guard.profiles(), 1, "equal rules are written once");
    let before = running.exec(&["/opt/touch", "/tmp/before"]).unwrap();
    assert!(before.status.success(), "{}", text(&before));

    node.guard.apply(&scope, &rules).unwrap();
    assert_eq!(node.guard.profiles(), 1, "what was prepared is what is used");
    let after = running.exec(&["/opt/touch", "/tmp/after"]).unwrap();
    assert!(!after.status.success(), "{}", text(&after));
    assert_eq!(text(&running.exec(&["/bin/ls", "/tmp"]).unwrap()), "before\n");

    node.guard.dismiss(&scope).unwrap();
    assert_eq!(node.guard.profiles(), 0, "what was given out is prepared no longer");
    node.guard.prepare(&[(scope.clone(), rules)]);
    node.guard.prepare(&[]);
    node.guard.dismiss(&scope).unwrap();
    assert_eq!(node.guard.profiles(), 0, "what nobody asked for is gone");
}

#[test]
fn a_denied_entrypoint_never_runs() {
    let Some(mut node) = Node::start() else { return };
    let touch = ProcessMatcher { names: vec![String::from("touch")], ..ProcessMatcher::default() };
    let rules = rule_set(vec![rule("no-touch", RuleAction::Block, process(touch))]);
    for round in 0..20 {
        let shared = tempfile::tempdir().unwrap();
        let mount = format!("--mount=type=bind,src={},dst=/out,options=rbind:rw", shared.path().display());
        let running = node
            .containerd
            .container(&node.image, &format!("denied-{round}"))
            .flag(&mount)
            .command(["/opt/touch", "/out/ran"])
            .start()
            .unwrap();
        let held = node.held.recv_timeout(DEADLINE).expect("the start is held");
        assert_eq!(held.pid, running.pid);
        node.guard.apply(&scope(running.pid), &rules).expect("apply");
        let record = node.record();
        assert_eq!(record.outcome, Outcome::Killed);
        assert_eq!(record.process.origin, Some(Origin::Entrypoint), "round {round}: {record:?}");
        assert!(!shared.path().join("ran").exists(), "round {round}: the entrypoint ran");
    }
}

#[test]
fn origin_tells_sessions_from_the_entrypoint() {
    let Some(mut node) = Node::start() else { return };
    let shell = ProcessMatcher {
        names: vec![String::from("sh")],
        origin: OriginMatcher::ExecSession,
        ..ProcessMatcher::default()
    };
    let rules = vec![rule("no-session-shells", RuleAction::KillProcess, process(shell))];
    let running = node
        .containerd
        .container(&node.image, "origin")
        .command(["/opt/sh", "-c", "while true; do /opt/sh -c 'echo own'; /bin/sleep 1; done"])
        .start()
        .unwrap();
    let held = node.held.recv_timeout(DEADLINE).unwrap();
    assert_eq!(held.pid, running.pid);
    node.guard.apply(&scope(running.pid), &rule_set(rules)).unwrap();
    let denied = running.exec(&["/opt/sh", "-c", "echo session"]).unwrap();
    assert!(!text(&denied).contains("session\n"), "{}", text(&denied));
    let record = node.record();
    assert_eq!(record.process.origin, Some(Origin::ExecSession));
    let nested = running.exec(&["/bin/env", "/opt/sh", "-c", "echo nested"]).unwrap();
    assert!(!text(&nested).contains("nested\n"), "{}", text(&nested));
    assert_eq!(node.record().process.origin, Some(Origin::ExecSession));
    assert!(running.output().unwrap().contains("own"));
}

/// A rule on descendants holds however many programs stand in between.
#[test]
fn a_far_ancestor_is_an_ancestor() {
    let Some(mut node) = Node::start() else { return };
    let descendants = |parent: &str| ProcessMatcher {
        names: vec![String::from("touch")],
        // Only the kernel sees the arguments in time.
        args_regex: Some(format!("below-{parent}$")),
        parents: vec![parent.to_owned()],
        ..ProcessMatcher::default()
    };
    let rules = vec![
        rule("by-name", RuleAction::Block, process(descendants("sh"))),
        rule("by-path", RuleAction::Block, process(descendants("/opt/sh"))),
    ];
    let (running, _) = node.container("ancestors", rules);
    let nest = "if [ $1 -gt 0 ]; then /bin/sh /tmp/nest $(($1 - 1)) $2; true; else /opt/touch $2; fi";
    let prepare = format!("mkdir -p /tmp/below-/opt; echo '{nest}' > /tmp/nest");
    assert!(running.exec(&["/bin/sh", "-c", &prepare]).unwrap().status.success());
    for (file, depth, shell, denied) in [
        ("/tmp/below-sh", 40, "/opt/sh", Some(0)),
        ("/tmp/below-/opt/sh", 40, "/opt/sh", Some(1)),
        ("/tmp/below-/opt/sh", 0, "/opt/sh", Some(1)),
        // Called `sh`, but it is busybox.
        ("/tmp/below-sh", 40, "/bin/sh", None),
    ] {
        let nested = format!("/bin/sh /tmp/nest {depth} {file}; true");
        let output = running.exec(&[shell, "-c", &nested]).unwrap();
        let exists = running.exec(&["/bin/ls", file]).unwrap().status.success();
        assert_eq!(exists, denied.is_none(), "{file} {depth}: {}", text(&output));
        if let Some(rank) = denied {
            let record = node.record();
            assert_eq!((record.enforced, record.outcome), (Some(rank), Outcome::Killed));
        }
    }
}

/// The kernel's tree forgets a parent that has ended.
#[test]
fn an_orphan_stays_below_its_parent() {
    let Some(mut node) = Node::start() else { return };
    let below = ProcessMatcher {
        names: vec![String::from("touch")],
        parents: vec![String::from("/opt/sh")],
        ..ProcessMatcher::default()
    };
    let (running, _) = node.container("orphan", vec![rule("below", RuleAction::Block, process(below))]);
    let session = |script: &str| running.exec(&["/opt/sh", "-c", script]).unwrap();
    // Whoever opens a pipe waits for the other end.
    let leave =
        "/bin/busybox mkfifo /tmp/pipe; (read line; exec /opt/touch /tmp/ran) < /tmp/pipe > /dev/null 2>&1 &";
    let left = session(leave);
    assert!(left.status.success(), "{}", text(&left));
    let told = session("echo go > /tmp/pipe");
    assert!(told.status.success(), "{}", text(&told));
    let record = node.record();
    assert_eq!((record.enforced, record.outcome), (Some(0), Outcome::Killed), "{record:?}");
    assert!(!running.exec(&["/bin/ls", "/tmp/ran"]).unwrap().status.success(), "it ran");
}

#[test]
fn programs_that_did_not_come_with_the_image_do_not_run() {
    let Some(mut node) = Node::start() else { return };
    let drift = DriftMatcher { execute: true, fileless: true, except: None };
    let rules = vec![rule("immutable", RuleAction::Block, Matcher::Drift(Arc::new(drift)))];
    let (running, _) = node.container("drift", rules);
    let dropped =
        running.exec(&["/bin/sh", "-c", "cp /bin/busybox /tmp/touch; /tmp/touch /tmp/ran; ls /tmp"]).unwrap();
    assert_eq!(text(&dropped).lines().filter(|line| *line == "ran").count(), 0, "{}", text(&dropped));
    let record = node.record();
    assert_eq!(record.outcome, Outcome::Killed);
    assert!(matches!(record.act, Act::Exec { ref path, .. } if path == b"/tmp/touch"));
}

#[test]
fn connections_are_refused_by_network_and_port() {
    let Some(mut node) = Node::start() else { return };
    let egress = NetworkMatcher {
        direction: moat_event::Direction::Egress,
        cidrs: vec![String::from("127.0.0.0/8"), String::from("::1/128")],
        ports: vec![String::from("1-1024")],
        protocols: Vec::new(),
        except: None,
    };
    let rules = vec![rule("egress", RuleAction::Block, Matcher::Network(Arc::new(egress)))];
    let (running, _) = node.container("network", rules);
    for (command, refused) in [
        (vec!["/bin/nc", "-w", "10", "127.0.0.1", "80"], true),
        (vec!["/bin/nc", "-w", "1", "127.0.0.1", "2000"], false),
        (vec!["/bin/nc", "-w", "10", "::1", "443"], true),
        (vec!["/bin/nc", "-w", "10", "::ffff:127.0.0.1", "80"], true),
    ] {
        let output = running.exec(&command).unwrap();
        let said = text(&output);
        assert_eq!(said.contains("Operation not permitted"), refused, "{command:?}: {said}");
        if refused {
            let record = node.record();
            assert_eq!(record.outcome, Outcome::Denied);
            assert!(matches!(record.act, Act::Connect { .. }), "{record:?}");
        }
    }
}

#[test]
fn a_rule_on_a_link_holds_where_the_link_leads() {
    let Some(mut node) = Node::start() else { return };
    // The second is a program, not a broken class of characters.
    let by_link = ProcessMatcher {
        paths: ["/local/touch", "/local/["].map(String::from).to_vec(),
        ..ProcessMatcher::default()
    };
    // Every applet is a link to busybox here: allowing one by its link must let it run.
    let allowed = ExecutableList {
        paths: ["/bin/cat", "/local/touch", "/bin/sleep"].map(String::from).to_vec(),
        ..ExecutableList::default()
    };
    let allow_list = ProcessMatcher { allow_only: Some(allowed), ..ProcessMatcher::default() };
    let rules = vec![
        rule("no-touch", RuleAction::Block, process(by_link)),
        rule("only-these", RuleAction::Block, process(allow_list)),
    ];
    let (running, _) = node.container("links", rules);
    for command in [["/opt/touch", "/tmp/x"], ["/opt/[", "]"]] {
        let denied = running.exec(&command).unwrap();
        assert!(!denied.status.success(), "{}", text(&denied));
        assert_eq!(node.record().enforced, Some(0));
    }
    let fine = running.exec(&["/bin/cat", "/etc/hostname"]).unwrap();
    assert!(!text(&fine).contains("not permitted"), "{}", text(&fine));
    let other = running.exec(&["/opt/sh", "-c", "echo ran"]).unwrap();
    assert!(!text(&other).contains("ran\n"), "{}", text(&other));
    assert_eq!(node.record().enforced, Some(1));
}

#[test]
fn a_start_that_an_agent_left_waiting_is_taken_over() {
    let Some(node) = Node::start() else { return };
    let running = node.containerd.container(&node.image, "orphan").start().unwrap();
    let held = node.held.recv_timeout(DEADLINE).expect("the start is held");
    assert_eq!(held.pid, running.pid);
    // The first guard never answers, as if its agent had been killed; the next agent's meets the container.
    let (records, _kept) = mpsc::sync_channel(16);
    let (held, _unused) = mpsc::sync_channel(16);
    let config = DriverConfig { oci_runtimes: Vec::new(), ..DriverConfig::default() };
    let mut next = Guard::load(&config, Sink::new(records), held).unwrap();
    assert!(state(running.pid).starts_with('T'));
    next.dismiss(&scope(running.pid)).unwrap();
    assert!(!state(running.pid).starts_with('T'));
}

/// The state of a process, as `proc_pid_status(5)` has it.
fn state(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find_map(|line| line.strip_prefix("State:")).expect("a state");
    line.trim().to_owned()
}

#[test]
fn containers_are_told_apart_by_a_controller_of_cgroup_v1() {
    let memory = Path::new("/sys/fs/cgroup/memory");
    let controllers = fs::read_to_string("/proc/cgroups").unwrap();
    let names = controllers.lines().filter(|line| !line.starts_with('#'));
    let Some(index) = names.map(|line| line.split('\t').next()).position(|name| name == Some("memory"))
    else {
        return skip("cgroup-v1", "the kernel has no memory controller");
    };
    if !memory.join("cgroup.procs").exists() {
        return skip("cgroup-v1", "the memory controller is not mounted as cgroup v1");
    }
    let Some(mut node) = Node::with(i32::try_from(index).ok()) else { return };
    let running = node.containerd.container(&node.image, "legacy").start().unwrap();
    let held = node.held.recv_timeout(DEADLINE).expect("the start is held");
    let cgroups = fs::read_to_string(format!("/proc/{}/cgroup", running.pid)).unwrap();
    let path = cgroups.lines().find_map(|line| line.split_once(":memory:")).unwrap().1;
    let cgroup = fs::metadata(memory.join(path.trim_start_matches('/'))).unwrap().ino();
    assert_eq!((held.pid, held.cgroup), (running.pid, cgroup));

    let arguments = ProcessMatcher { args_regex: Some(String::from("evil")), ..ProcessMatcher::default() };
    let touch = ProcessMatcher { names: vec![String::from("touch")], ..ProcessMatcher::default() };
    let rules = vec![
        rule("evil", RuleAction::Block, process(arguments)),
        rule("no-touch", RuleAction::Block, process(touch)),
    ];
    let scope = ContainerScope { cgroup, cgroup_directory: None, init_pid: running.pid };
    node.guard.apply(&scope, &rule_set(rules)).unwrap();
    for (command, rule) in [(["/bin/echo", "evil"], 0), (["/opt/touch", "/tmp/x"], 1)] {
        let denied = running.exec(&command).unwrap();
        assert!(!denied.status.success(), "{command:?}: {}", text(&denied));
        assert_eq!(node.record().enforced, Some(rule));
    }
    assert!(running.exec(&["/bin/echo", "fine"]).unwrap().status.success());
}
