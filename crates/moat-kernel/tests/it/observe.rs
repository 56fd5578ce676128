//! What the guard can only see and kill: system calls and changes of files; and what it keeps in the kernel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libbpf_rs::query::{LinkInfoIter, ProgInfoIter, ProgInfoQueryOptions, ProgramInfo};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use moat_event::{Direction, FileOperation};
use moat_kernel::{Act, Driver, Outcome, Record};
use moat_policy::model::{
    DriftMatcher, ExecutableList, FileMatcher, NetworkMatcher, ProcessMatcher, RuleAction,
};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};

use crate::node::{Node, process, rule, rule_set, scope, text};

/// What a shell says of a program that SIGKILL ended, and `ctr` too.
const KILLED: Option<i32> = Some(128 + 9);

fn syscalls(names: &[&str]) -> Matcher {
    Matcher::Syscalls(names.iter().map(|name| (*name).to_owned()).collect())
}

/// Every change below `/etc` that is no open.
fn changes_of_etc() -> Matcher {
    use FileOperation::{Chmod, Chown, Delete, Link, Rename, SetXattr};
    etc(&[Chmod, Chown, Delete, Link, Rename, SetXattr])
}

fn etc(operations: &[FileOperation]) -> Matcher {
    Matcher::File(Arc::new(FileMatcher {
        paths: vec![String::from("/etc/**")],
        operations: operations.to_vec(),
        ..FileMatcher::default()
    }))
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn a_system_call_ends_its_process() {
    let Some(mut node) = Node::start() else { return };
    let rules = vec![
        rule("no-new-namespaces", RuleAction::KillProcess, syscalls(&["unshare", "setns"])),
        rule("no-kernel-log", RuleAction::KillProcess, syscalls(&["syslog"])),
        rule("tell-of-chroot", RuleAction::Alert, syscalls(&["chroot"])),
    ];
    let (running, scope) = node.container("syscalls", rules);
    for (command, name, rank) in [
        (&["/bin/dmesg"][..], "syslog", 1),
        (&["/bin/unshare", "-n", "/bin/true"], "unshare", 0),
        (&["/bin/unshare", "-U", "/bin/true"], "unshare", 0),
    ] {
        let output = running.exec(command).unwrap();
        assert_eq!(output.status.code(), KILLED, "{command:?}: {}", text(&output));
        let record = node.record();
        assert_eq!(record.act, Act::Syscall { name }, "{command:?}");
        assert_eq!(record.outcome, Outcome::KilledAfter);
        assert_eq!((record.cgroup, record.generation), (scope.cgroup, 7));
        assert_eq!((record.enforced, record.audited), (Some(rank), None));
        assert!(record.process.pid > 0 && record.process.uid == 0, "{record:?}");
    }
    let told = running.exec(&["/bin/chroot", "/", "/bin/true"]).unwrap();
    assert!(told.status.success(), "{}", text(&told));
    let record = node.record();
    assert_eq!((record.act, record.outcome), (Act::Syscall { name: "chroot" }, Outcome::Allowed));
}

/// The record of this change; every record on the way to it must be about `/etc`.
fn change(node: &Node, path: &str, operation: FileOperation) -> Record {
    let wanted = Act::File { path: path.as_bytes().to_vec(), operation };
    loop {
        let record = node.record();
        let Act::File { path, .. } = &record.act else { panic!("{record:?}") };
        assert!(path.starts_with(b"/etc/"), "no rule is about {record:?}");
        if record.act == wanted {
            return record;
        }
    }
}

#[test]
fn changes_of_files_are_told_by_the_file_they_reach() {
    use FileOperation::{Chmod, Chown, Create, Delete, Link, Rename, Truncate};
    let Some(mut node) = Node::start() else { return };
    let rules = vec![
        rule("etc-is-read-only", RuleAction::Block, changes_of_etc()),
        rule("tell-of-new-files", RuleAction::Alert, etc(&[Create, Truncate])),
    ];
    let (running, scope) = node.container("changes", rules);
    for (script, path, operation) in [
        ("chmod 600 /etc/passwd", "/etc/passwd", Chmod),
        ("cd /etc && chmod 600 passwd", "/etc/passwd", Chmod),
        ("cd /tmp && chmod 640 ../etc//./passwd", "/etc/passwd", Chmod),
        ("chmod 640 /tmp/../etc/group", "/etc/group", Chmod),
        ("chown 1 /etc/passwd", "/etc/passwd", Chown),
        ("mkdir /etc/new", "/etc/new", Create),
        ("cd /etc/new && mkdir inner", "/etc/new/inner", Create),
        ("cd /etc/new && rmdir ./inner", "/etc/new/inner", Delete),
        ("ln -s /tmp /etc/soft", "/etc/soft", Create),
        ("ln /etc/passwd /tmp/hard", "/etc/passwd", Link),
        ("ln /tmp/hard /etc/hard", "/etc/hard", Link),
        ("echo > /tmp/mine; mv /tmp/mine /etc/mine", "/etc/mine", Rename),
        ("mv /etc/mine /tmp/mine", "/etc/mine", Rename),
        // busybox opens the file and calls ftruncate.
        ("truncate -s 0 /etc/group", "/etc/group", Truncate),
        ("cd /etc && rm group", "/etc/group", Delete),
        ("unlink /etc/hard", "/etc/hard", Delete),
    ] {
        let output = running.exec(&["/bin/sh", "-c", script]).unwrap();
        // Nothing refuses a change that is no open: the rule's status says so, and the record too.
        assert!(output.status.success(), "{script}: {}", text(&output));
        let record = change(&node, path, operation);
        assert_eq!(record.outcome, Outcome::Allowed, "{script}");
        assert_eq!((record.cgroup, record.generation, record.audited), (scope.cgroup, 7, None), "{script}");
        let rank = usize::from(matches!(operation, Create | Truncate));
        assert_eq!(record.enforced, Some(rank), "{script}");
    }
    let elsewhere =
        running.exec(&["/bin/sh", "-c", "mkdir /tmp/d && chmod 700 /tmp/d && rmdir /tmp/d"]).unwrap();
    assert!(elsewhere.status.success(), "{}", text(&elsewhere));
    let last = running.exec(&["/bin/chmod", "600", "/etc/passwd"]).unwrap();
    assert!(last.status.success());
    change(&node, "/etc/passwd", Chmod);
}

#[test]
fn a_change_of_a_file_can_cost_the_process() {
    let Some(mut node) = Node::start() else { return };
    let rules = vec![rule("no-truncation", RuleAction::KillProcess, etc(&[FileOperation::Truncate]))];
    let (running, _) = node.container("killed-change", rules);
    // dd cuts the file at its seek position, by descriptor, and then waits for input that does not come.
    let script = "mkfifo /tmp/never; sleep 60 > /tmp/never 2> /dev/null & \
                  exec /bin/dd if=/tmp/never of=/etc/group bs=1 seek=1";
    let output = running.exec(&["/bin/sh", "-c", script]).unwrap();
    assert_eq!(output.status.code(), KILLED, "{}", text(&output));
    let record = change(&node, "/etc/group", FileOperation::Truncate);
    assert_eq!((record.outcome, record.enforced), (Outcome::KilledAfter, Some(0)));
    assert!(record.process.executable.ends_with(b"busybox"), "{record:?}");
}

#[test]
fn audit_mode_never_denies() {
    let Some(mut node) = Node::start() else { return };
    let audited = |name, action, matcher| EffectiveRule { enforced: false, ..rule(name, action, matcher) };
    let touch = ProcessMatcher { names: strings(&["touch"]), ..ProcessMatcher::default() };
    let arguments = ProcessMatcher {
        paths: strings(&["/opt/sh"]),
        args_regex: Some(String::from("told")),
        ..ProcessMatcher::default()
    };
    let drift = DriftMatcher { execute: true, fileless: true, except: None };
    let network = NetworkMatcher {
        direction: Direction::Egress,
        cidrs: strings(&["127.0.0.0/8"]),
        ports: Vec::new(),
        protocols: Vec::new(),
        except: None,
    };
    let rules = vec![
        audited("touch", RuleAction::KillPod, process(touch)),
        audited("arguments", RuleAction::KillProcess, process(arguments)),
        audited("drift", RuleAction::KillProcess, Matcher::Drift(Arc::new(drift))),
        audited("network", RuleAction::KillProcess, Matcher::Network(Arc::new(network))),
        audited("calls", RuleAction::KillProcess, syscalls(&["chroot"])),
        audited("changes", RuleAction::KillProcess, changes_of_etc()),
    ];
    let (running, _) = node.container("audit", rules);
    for (command, rank) in [
        (&["/opt/touch", "/tmp/x"][..], 0),
        (&["/opt/sh", "-c", "echo told"], 1),
        (&["/bin/sh", "-c", "cp /bin/busybox /tmp/true; /tmp/true"], 2),
        (&["/bin/nc", "-w", "1", "127.0.0.1", "9"], 3),
        (&["/bin/chroot", "/", "/bin/true"], 4),
        (&["/bin/chmod", "600", "/etc/passwd"], 5),
    ] {
        let output = running.exec(command).unwrap();
        let said = text(&output);
        assert!(!said.contains("not permitted") && output.status.code() != KILLED, "{command:?}: {said}");
        assert!(rank == 3 || output.status.success(), "{command:?}: {said}");
        let record = node.record();
        assert_eq!((record.enforced, record.audited), (None, Some(rank)), "{command:?}: {record:?}");
        assert_eq!(record.outcome, Outcome::Allowed, "{command:?}");
    }
}

/// Two sets of rules, each of which denies the same program, take turns while it is tried over and over.
fn take_turns(id: &str, rules: &[Vec<EffectiveRule>; 2]) {
    let Some(mut node) = Node::start() else { return };
    let script = "while true; do /opt/touch /tmp/ran; echo tried; done";
    let running =
        node.containerd.container(&node.image, id).command(["/bin/sh", "-c", script]).start().expect("start");
    node.held.recv_timeout(crate::node::DEADLINE).expect("the start is held");
    let scope = scope(running.pid);
    assert_ne!(rules[0], rules[1]);
    for (generation, rules) in (1..).zip(rules.iter().cycle().take(60)) {
        let rules = RuleSet { generation, ..RuleSet::clone(&rule_set(rules.clone())) };
        node.guard.apply(&scope, &Arc::new(rules)).expect("apply");
        // Each set denies before the next one comes.
        loop {
            let record = node.record();
            assert_ne!(record.outcome, Outcome::Allowed, "{record:?}");
            if record.generation == generation {
                break;
            }
        }
    }
    let tmp = running.exec(&["/bin/ls", "/tmp"]).expect("exec");
    assert_eq!(text(&tmp), "", "a try got through between two sets of rules");
    let tries = running.output().expect("output").lines().filter(|line| *line == "tried").count();
    assert!(tries >= 60, "{tries} tries");
}

#[test]
fn no_moment_without_rules_while_they_change_in_the_kernel() {
    let denied = |by: &str| {
        let matcher = ProcessMatcher {
            names: if by == "name" { strings(&["touch"]) } else { Vec::new() },
            path_globs: if by == "glob" { strings(&["/opt/t*"]) } else { Vec::new() },
            args_regex: Some(String::from("/ran$")),
            ..ProcessMatcher::default()
        };
        vec![rule(by, RuleAction::Block, process(matcher))]
    };
    take_turns("turns-kernel", &[denied("name"), denied("glob")]);
}

#[test]
fn no_moment_without_rules_while_they_change_in_both_halves() {
    let by_name = ProcessMatcher { names: strings(&["touch"]), ..ProcessMatcher::default() };
    let allowed = ExecutableList { path_globs: strings(&["/bin/**"]), ..ExecutableList::default() };
    let by_list = ProcessMatcher { allow_only: Some(allowed), ..ProcessMatcher::default() };
    take_turns(
        "turns-both",
        &[
            vec![rule("by-name", RuleAction::Block, process(by_name))],
            vec![rule("by-list", RuleAction::Block, process(by_list))],
        ],
    );
}

/// The programs of the guard that holds this container, found by what is in its maps: other guards may run on
/// this machine.
fn programs(cgroup: u64) -> Vec<ProgramInfo> {
    let every = || ProgInfoIter::with_query_opts(ProgInfoQueryOptions::default().include_map_ids(true));
    let holds = |id: u32| {
        MapHandle::from_map_id(id).is_ok_and(|map| {
            map.name() == "containers"
                && map.lookup(&cgroup.to_ne_bytes(), MapFlags::ANY).is_ok_and(|value| value.is_some())
        })
    };
    let exec = every()
        .find(|program| program.name == "moat_exec" && program.map_ids.iter().any(|id| holds(*id)))
        .expect("a guard that holds the container");
    every().filter(|program| program.map_ids.iter().any(|id| exec.map_ids.contains(id))).collect()
}

fn is_attached(programs: &[ProgramInfo], name: &str) -> bool {
    let id = programs.iter().find(|program| program.name == name).expect(name).id;
    LinkInfoIter::default().any(|link| link.prog_id == id)
}

#[test]
fn system_calls_are_watched_only_while_a_rule_needs_it() {
    let Some(mut node) = Node::start() else { return };
    let touch = ProcessMatcher { names: strings(&["touch"]), ..ProcessMatcher::default() };
    let plain = || vec![rule("touch", RuleAction::Alert, process(touch.clone()))];
    let calls = || vec![rule("calls", RuleAction::Alert, syscalls(&["syslog"]))];
    let changes = || vec![rule("changes", RuleAction::Alert, changes_of_etc())];
    let (_first, one) = node.container("watch-1", plain());
    let programs = programs(one.cgroup);
    let watched = || is_attached(&programs, "moat_syscall");
    assert!(is_attached(&programs, "moat_exec") && is_attached(&programs, "moat_fork"));
    assert!(!watched(), "no rule is about a system call");

    let (_second, two) = node.container("watch-2", calls());
    assert!(watched());
    node.guard.apply(&one, &rule_set(changes())).unwrap();
    node.guard.apply(&two, &rule_set(plain())).unwrap();
    assert!(watched(), "the first container's rules still need it");
    node.guard.release(one.cgroup);
    assert!(!watched(), "the container that needed it is gone");
    node.guard.apply(&two, &rule_set(calls())).unwrap();
    assert!(watched());
    node.guard.dismiss(&two).unwrap();
    assert!(!watched(), "nothing selects the container any more");
}

/// Maps that hold what belongs to a container or to its rules. The kernel keeps 15 bytes of a name.
const OF_CONTAINERS: [&str; 10] = [
    "containers",
    "profiles",
    "rules",
    "rule_lists",
    "automaton_table",
    "automata",
    "short_texts",
    "prefixes",
    "numbers",
    "addresses",
];

#[test]
fn release_leaves_nothing_in_the_maps() {
    let Some(mut node) = Node::start() else { return };
    let every = ProcessMatcher {
        names: strings(&["touch"]),
        name_regex: Some(String::from("^evil")),
        paths: strings(&["/opt/evil"]),
        path_globs: strings(&["/srv/**", "/srv/*/evil?"]),
        args_regex: Some(String::from("evil[0-9]")),
        parents: strings(&["nginx", "/bin/evil"]),
        users: strings(&["root", "33"]),
        ..ProcessMatcher::default()
    };
    let network = NetworkMatcher {
        direction: Direction::Ingress,
        cidrs: strings(&["192.0.2.0/24", "2001:db8::/32"]),
        ports: strings(&["1-1024"]),
        protocols: Vec::new(),
        except: None,
    };
    let rules = || {
        vec![
            rule("every", RuleAction::Block, process(every.clone())),
            rule("network", RuleAction::Block, Matcher::Network(Arc::new(network.clone()))),
            rule("calls", RuleAction::KillProcess, syscalls(&["syslog"])),
        ]
    };
    let (_first, one) = node.container("release-1", rules());
    let mut maps = BTreeMap::new();
    for id in programs(one.cgroup).into_iter().flat_map(|program| program.map_ids) {
        let map = MapHandle::from_map_id(id).expect("a map of a loaded program");
        let name = map.name().to_string_lossy().into_owned();
        if OF_CONTAINERS.contains(&name.as_str()) {
            maps.insert(name, map);
        }
    }
    assert_eq!(maps.len(), OF_CONTAINERS.len(), "{:?}", maps.keys());
    let entries = || -> BTreeMap<&str, usize> {
        maps.iter().map(|(name, map)| (name.as_str(), map.keys().count())).collect()
    };
    // What nobody uses any more is taken away by a thread of its own.
    let await_entries = |expected: &BTreeMap<&str, usize>| {
        let deadline = Instant::now() + Duration::from_secs(5);
        while entries() != *expected && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(entries(), *expected);
    };
    let with_one = entries();
    assert!(with_one.values().all(|count| *count > 0), "the rules use every map: {with_one:?}");

    // The same rules for a second container: only the container itself is new.
    let (_second, two) = node.container("release-2", rules());
    let mut with_two = with_one.clone();
    with_two.insert("containers", 2);
    assert_eq!(entries(), with_two);
    // Other rules, and back: nothing of the old ones stays.
    let touch = ProcessMatcher { names: strings(&["touch"]), ..ProcessMatcher::default() };
    node.guard.apply(&one, &rule_set(vec![rule("touch", RuleAction::Block, process(touch))])).unwrap();
    node.guard.apply(&one, &rule_set(rules())).unwrap();
    await_entries(&with_two);

    node.guard.release(one.cgroup);
    await_entries(&with_one);
    node.guard.release(two.cgroup);
    await_entries(&with_one.keys().map(|name| (*name, 0)).collect());
    assert_eq!(node.guard.profiles(), 0);
}
