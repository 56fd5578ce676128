//! Executions: names, paths, links, scripts, allow-lists, ancestors.

use moat_policy::activity::FileSource;
use moat_policy::model::RuleAction::{Alert, Block, KillProcess};
use moat_policy::model::{ExecutableList, ProcessMatcher};

use super::sandbox::{Agent, Sandbox, available, process, strings};
use crate::record::{Act, Outcome};

#[test]
fn a_denied_program_does_not_start() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    sandbox.run("/bin/id").allowed();
    agent.apply(
        &sandbox,
        vec![process(Block, ProcessMatcher { names: strings(&["id"]), ..ProcessMatcher::default() })],
    );
    sandbox.run("/bin/id -u").denied();
    let record = agent.record();
    assert_eq!((record.outcome, record.enforced), (Outcome::Denied, Some(0)));
    assert_eq!(record.act, Act::Exec { path: b"/bin/id".to_vec(), source: FileSource::Image });
    assert_eq!(record.process.executable, b"/bin/id");
    assert_eq!(record.process.arguments, b"/bin/id\0-u\0");
    sandbox.run("/opt/id").denied();
    sandbox.run("/bin/env true").allowed();
}

#[test]
fn links_to_a_denied_path_are_denied() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(
        &sandbox,
        vec![process(Block, ProcessMatcher { paths: strings(&["/bin/id"]), ..ProcessMatcher::default() })],
    );
    sandbox.run("ln /bin/id /tmp/id && /tmp/id").denied();
    sandbox.run("mv /bin/id /tmp/other && /tmp/other id").denied();
    sandbox.run("/opt/id").allowed();
}

#[test]
fn a_script_is_judged_by_its_interpreter_too() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(
        &sandbox,
        vec![process(Block, ProcessMatcher { paths: strings(&["/bin/env"]), ..ProcessMatcher::default() })],
    );
    sandbox.run("printf '#!/bin/env sh\\ntrue\\n' > /tmp/script; chmod +x /tmp/script 2>/dev/null || /bin/busybox chmod +x /tmp/script; /tmp/script").denied();
}

#[test]
fn an_allow_list_names_files_by_any_path() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    let allow_only =
        Some(ExecutableList { paths: strings(&["/bin/sh", "/opt/id"]), ..ExecutableList::default() });
    agent.apply(&sandbox, vec![process(Block, ProcessMatcher { allow_only, ..ProcessMatcher::default() })]);
    sandbox.run("/opt/id").allowed();
    sandbox.run("/bin/sh -c true").allowed();
    sandbox.run("/bin/id").denied();
}

#[test]
fn only_below_the_named_ancestor() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    let matcher =
        ProcessMatcher { names: strings(&["id"]), parents: strings(&["env"]), ..ProcessMatcher::default() };
    agent.apply(&sandbox, vec![process(Block, matcher)]);
    sandbox.run("/bin/id").allowed();
    // This env runs the shell in its own process image; the command after the program makes the shell its parent.
    sandbox.run("/bin/env sh -c '/bin/id; false'").denied();
}

#[test]
fn a_program_that_is_to_be_killed_never_runs() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(
        &sandbox,
        vec![process(KillProcess, ProcessMatcher { names: strings(&["id"]), ..ProcessMatcher::default() })],
    );
    let reply = sandbox.run("/bin/id");
    assert_eq!(reply.status, 128 + libc::SIGKILL, "{reply:?}");
    assert_eq!(agent.record().outcome, Outcome::Killed);
}

#[test]
fn programs_that_start_are_the_other_halfs_to_report() {
    if !available() {
        return;
    }
    let (mut agent, mut sandbox) = (Agent::start(), Sandbox::start());
    agent.apply(
        &sandbox,
        vec![process(Alert, ProcessMatcher { names: strings(&["id"]), ..ProcessMatcher::default() })],
    );
    sandbox.run("/bin/id").allowed();
    assert!(agent.records.try_recv().is_err());
}
