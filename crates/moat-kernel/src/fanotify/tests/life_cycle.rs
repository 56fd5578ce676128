//! Policy changes, release, floods, limits.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use moat_event::FileOperation::Read;
use moat_policy::model::RuleAction::Block;

use super::super::group::Group;
use super::super::limits::GroupLimit;
use super::sandbox::{Agent, Sandbox, available, file};
use crate::{ApplyError, ContainerScope};

#[test]
fn a_change_of_rules_holds_at_once() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    for _ in 0..5 {
        agent.apply(&sandbox, vec![file(Block, &["/etc/secret"], &[Read])]);
        sandbox.run("cat /etc/secret").denied();
        // Opened twice, so that it is left alone.
        sandbox.run("cat /etc/conf; cat /etc/conf").allowed();
        agent.apply(&sandbox, vec![file(Block, &["/etc/conf"], &[Read])]);
        sandbox.run("cat /etc/conf").denied();
        sandbox.run("cat /etc/secret; cat /etc/secret").allowed();
    }
    agent.apply(&sandbox, Vec::new());
    sandbox.run("cat /etc/conf").allowed();
}

#[test]
fn nothing_is_left_of_a_released_container() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(&sandbox, vec![file(Block, &["/etc/secret"], &[Read])]);
    sandbox.run("cat /etc/secret").denied();
    let root = std::fs::metadata(format!("/proc/{}/root", sandbox.scope.init_pid)).unwrap().dev();
    // A superblock's number as the kernel writes it (proc_pid_fdinfo(5)): the minor in the low 20 bits.
    let device = format!("sdev:{:x}", u64::from(libc::major(root)) << 20 | u64::from(libc::minor(root)));
    assert!(marks().contains(&device), "{device}");
    agent.driver.release(sandbox.scope.cgroup);
    // The thread obeys in its own time.
    let denied = (0..1000).take_while(|_| sandbox.run("cat /etc/secret").status != 0).count();
    assert!(denied < 1000);
    drop(agent);
    assert!(!marks().contains(&device), "{device}");
}

/// What all groups of this process watch.
fn marks() -> String {
    let entries = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    texts.filter(|text| text.contains("fanotify ")).collect()
}

#[test]
fn a_container_that_is_gone_is_an_error_and_nothing_else() {
    if !available() {
        return;
    }
    let mut agent = Agent::start();
    let sandbox = Sandbox::start();
    let scope = sandbox.scope.clone();
    drop(sandbox);
    let error = agent.try_apply(&scope, vec![file(Block, &["/etc/secret"], &[Read])]).unwrap_err();
    assert!(matches!(error, ApplyError::Vanished), "{error}");
}

#[test]
fn the_nodes_own_root_is_never_marked() {
    if !available() {
        return;
    }
    let mut agent = Agent::start();
    // Our own process is in no container: its control group is another one's, its root the node's.
    let sandbox = Sandbox::start();
    let scope = ContainerScope { init_pid: std::process::id(), ..sandbox.scope.clone() };
    assert!(agent.try_apply(&scope, vec![file(Block, &["/etc/secret"], &[Read])]).is_err());
}

/// Denied opens in the flood.
const DENIALS: u64 = 2000;

#[test]
fn a_flood_is_counted_and_keeps_no_one_waiting() {
    if !available() {
        return;
    }
    let (mut agent, mut noisy, mut quiet) = (Agent::start(), Sandbox::start(), Sandbox::start());
    agent.apply(&noisy, vec![file(Block, &["/etc/secret"], &[Read])]);
    agent.apply(&quiet, vec![file(Block, &["/etc/secret"], &[Read])]);
    let flood = std::thread::spawn(move || {
        noisy
            .run(&format!("i=0; while [ $i -lt {DENIALS} ]; do read x < /etc/secret; i=$((i+1)); done"))
            .allowed();
        noisy
    });
    quiet.run("cat /etc/secret").denied();
    let noisy = flood.join().unwrap();
    let (mut counted, mut records) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(20);
    while counted < DENIALS && Instant::now() < deadline {
        if let Ok(record) = agent.records.recv_timeout(Duration::from_secs(2))
            && record.cgroup == noisy.scope.cgroup
        {
            counted += record.count;
            records += 1;
        }
    }
    assert_eq!(counted, DENIALS);
    assert!(records < 40, "{records}");
    assert!(agent.driver.losses().is_empty());
}

#[test]
fn the_limit_on_groups_is_raised_for_a_thousand_containers() {
    if !available() {
        return;
    }
    let limit = GroupLimit::raise();
    let groups: Result<Vec<_>, _> = (0..600).map(|_| Group::permission()).collect();
    match limit {
        Ok(_) => assert_eq!(groups.unwrap().len(), 600),
        Err(error) => println!("skipped: the limit cannot be raised here: {error}"),
    }
}
