//! File rules, judged in the kernel: who, what becomes of it, what is told, and what is remembered for how long. The
//! ways around them are in the bypass corpus.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_event::{FileOperation, Severity};
use moat_kernel::{Act, Driver, Outcome, Record};
use moat_policy::model::{FileException, FileMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};

use super::lsm::{LOADING, Node, node};
use super::{Case, cases};
use crate::container::{Container, Ended};

pub fn cases() -> Vec<Case> {
    let cases = cases!(
        "file": a_refusal_is_told_in_full,
        neighbours_are_left_alone,
        what_is_not_to_be_refused_is_told_once,
        a_process_is_killed_before_it_goes_on,
        who_acts_counts,
        users_count,
        new_rules_count_at_once,
        a_renamed_directory_is_judged_by_its_new_name,
        a_mounted_directory_is_judged_by_its_new_path,
        a_file_that_replaces_another_is_judged,
    );
    cases.into_iter().map(|case| case.within(LOADING)).collect()
}

const DEADLINE: Duration = Duration::from_secs(30);

impl Node {
    /// A container with rules in force, in which `setup` was run before.
    fn container(&mut self, name: &str, setup: &str, rules: Vec<EffectiveRule>) -> Result<Container> {
        while self.held.try_recv().is_ok() {}
        let container = Container::start(name)?;
        self.held.recv_timeout(DEADLINE).context("the start is not held")?;
        self.driver.dismiss(&container.scope()?)?;
        let ended = shell(&container, setup)?;
        ensure!(ended.succeeded(), "the setup fails: {ended:?}");
        self.apply(&container, rules)?;
        Ok(container)
    }

    fn apply(&mut self, container: &Container, rules: Vec<EffectiveRule>) -> Result<()> {
        self.generation += 1;
        let hash = format!("{rules:?}");
        self.driver
            .apply(&container.scope()?, &Arc::new(RuleSet { generation: self.generation, hash, rules }))?;
        while self.records.try_recv().is_ok() {}
        Ok(())
    }

    fn record(&self) -> Result<Record> {
        self.records.recv_timeout(DEADLINE).context("no record")
    }
}

fn shell(container: &Container, script: &str) -> Result<Ended> {
    container.run(&["/bin/sh", "-c", script])
}

fn matcher(path: &str, operations: &[FileOperation]) -> FileMatcher {
    FileMatcher {
        paths: vec![path.to_owned()],
        operations: operations.to_vec(),
        processes: Vec::new(),
        users: Vec::new(),
        except: None,
    }
}

fn rule(action: RuleAction, enforced: bool, matcher: FileMatcher) -> EffectiveRule {
    EffectiveRule {
        policy: "test".into(),
        rule: "file".into(),
        severity: Severity::High,
        action,
        enforced,
        matcher: Matcher::File(Arc::new(matcher)),
    }
}

fn block(matcher: FileMatcher) -> Vec<EffectiveRule> {
    vec![rule(RuleAction::Block, true, matcher)]
}

const READ: &[FileOperation] = &[FileOperation::Read];
const LOCKED: &str = "mkdir -p /srv/locked; echo locked > /srv/locked/secret";

fn a_refusal_is_told_in_full() -> Result<()> {
    let mut node = node()?;
    let container = node.container("told", LOCKED, block(matcher("/srv/locked/**", READ)))?;
    let ended = container.session(&["/bin/sh", "-c", "cd /srv && cat locked/secret; exit $?"]).run()?;
    assert!(!ended.succeeded() && !ended.output.contains("locked\n"), "{ended:?}");
    assert!(ended.output.contains("Operation not permitted"), "{ended:?}");

    let record = node.record()?;
    let act = Act::File { path: b"/srv/locked/secret".to_vec(), operation: FileOperation::Read };
    assert_eq!((record.act, record.outcome), (act, Outcome::Denied));
    assert_eq!((record.enforced, record.audited), (Some(0), None));
    assert_eq!((record.cgroup, record.generation), (container.scope()?.cgroup, node.generation));
    let process = record.process;
    assert_eq!(process.executable, b"/bin/busybox");
    assert_eq!(process.parent_executable, b"/bin/busybox");
    assert_eq!(process.cwd, b"/srv");
    assert_eq!(process.uid, 0);
    assert!(process.pid > 1 && process.parent_pid > 1, "{process:?}");
    Ok(())
}

fn neighbours_are_left_alone() -> Result<()> {
    let mut node = node()?;
    let locked = matcher("/srv/locked/*.key", &FileOperation::ALL);
    let container = node.container("neighbours", LOCKED, block(locked))?;
    let ended = shell(
        &container,
        "set -e; cd /srv/locked; cat secret; echo more >> secret; mv secret other; ln other third; chmod 600 third; \
         chown 7 third; truncate -s 0 third; ln -s third fourth; mkdir below; rmdir below; mkfifo pipe; rm pipe third \
         fourth; cd ..; mkdir one; mv one two; ls locked",
    )?;
    assert!(ended.succeeded() && ended.output.ends_with("other\n"), "{ended:?}");
    assert!(node.records.try_recv().is_err(), "something was told");
    for refused in ["touch a.key", "mkdir a.key", "ln -s x a.key", "mv other a.key", "ln other a.key"] {
        let ended = shell(&container, &format!("cd /srv/locked && {refused}"))?;
        assert!(!ended.succeeded(), "{refused}: {ended:?}");
        let there = container.file("/srv/locked/a.key").symlink_metadata().is_ok();
        assert!(!there && container.file("/srv/locked/other").exists(), "{refused} had its effect");
    }
    Ok(())
}

/// Neither a rule that only alerts nor one in audit: opening is told, and that the open file is then mapped is not.
fn what_is_not_to_be_refused_is_told_once() -> Result<()> {
    let mut node = node()?;
    let library = || matcher("/lib/x86_64-linux-gnu/libc.so.6", READ);
    let rules = vec![rule(RuleAction::Alert, true, library()), rule(RuleAction::Block, false, library())];
    let container = node.container("alert", "true", rules)?;
    let ended = container.run(&["/usr/bin/marked-dynamic"])?;
    assert!(ended.succeeded() && container.mark("ran").exists(), "{ended:?}");
    let record = node.record()?;
    assert_eq!((record.enforced, record.audited), (Some(0), Some(1)));
    assert_eq!(record.outcome, Outcome::Allowed);
    assert!(node.records.recv_timeout(Duration::from_secs(1)).is_err(), "it was told twice");
    Ok(())
}

fn a_process_is_killed_before_it_goes_on() -> Result<()> {
    let mut node = node()?;
    let rules = vec![rule(RuleAction::KillProcess, true, matcher("/srv/locked/secret", READ))];
    let container = node.container("kill", LOCKED, rules)?;
    let ended = shell(&container, "read line < /srv/locked/secret; touch /proof/after")?;
    assert!(ended.was_killed(), "{ended:?}");
    assert!(!container.mark("after").exists());
    assert_eq!(node.record()?.outcome, Outcome::Killed);
    Ok(())
}

fn who_acts_counts() -> Result<()> {
    let mut node = node()?;
    let setup = format!("{LOCKED}; cp /bin/busybox /usr/bin/reader");
    let only = FileMatcher { processes: vec!["reader".to_owned()], ..matcher("/srv/locked/**", READ) };
    let container = node.container("actor", &setup, block(only))?;
    let reader = || container.session(&["/usr/bin/reader", "/srv/locked/secret"]).named("cat").run();
    assert!(!reader()?.succeeded());
    assert!(container.run(&["/bin/cat", "/srv/locked/secret"])?.succeeded());

    let except = FileException { processes: vec!["/usr/bin/reader".to_owned()], ..FileException::default() };
    let all_but = FileMatcher { except: Some(except), ..matcher("/srv/locked/**", READ) };
    node.apply(&container, block(all_but))?;
    assert!(reader()?.succeeded());
    assert!(!container.run(&["/bin/cat", "/srv/locked/secret"])?.succeeded());
    Ok(())
}

fn users_count() -> Result<()> {
    let mut node = node()?;
    let some = FileMatcher { users: vec!["7".to_owned()], ..matcher("/srv/locked/**", READ) };
    let container = node.container("users", LOCKED, block(some))?;
    let cat = |user| container.session(&["/bin/cat", "/srv/locked/secret"]).user(user).run();
    assert!(!cat(7)?.succeeded());
    assert!(cat(8)?.succeeded() && cat(0)?.succeeded());
    Ok(())
}

fn new_rules_count_at_once() -> Result<()> {
    let mut node = node()?;
    let container = node.container("rules", LOCKED, block(matcher("/srv/elsewhere/**", READ)))?;
    let readable = || Ok::<_, anyhow::Error>(shell(&container, "cat /srv/locked/secret")?.succeeded());
    assert!(readable()? && readable()?);
    node.apply(&container, block(matcher("/srv/locked/**", READ)))?;
    assert!(!readable()? && !readable()?);
    node.apply(&container, block(matcher("/srv/elsewhere/**", READ)))?;
    assert!(readable()?);
    Ok(())
}

/// Renamed by the container, and by the node, which no rule holds.
fn a_renamed_directory_is_judged_by_its_new_name() -> Result<()> {
    let mut node = node()?;
    let setup = "mkdir -p /srv/a/b; echo text > /srv/a/b/f";
    let container = node.container("renamed", setup, block(matcher("/srv/locked/**", READ)))?;
    let readable =
        |path: &str| Ok::<_, anyhow::Error>(shell(&container, &format!("cat {path}"))?.succeeded());
    assert!(readable("/srv/a/b/f")? && readable("/srv/a/b/f")?);
    assert!(shell(&container, "mv /srv/a /srv/locked")?.succeeded());
    assert!(!readable("/srv/locked/b/f")?);
    let back = shell(&container, "mv /srv/locked /srv/a")?;
    assert!(!back.succeeded() && container.file("/srv/locked").exists(), "it escapes: {back:?}");
    fs::rename(container.file("/srv/locked"), container.file("/srv/c"))?;
    assert!(readable("/srv/c/b/f")?);
    fs::rename(container.file("/srv/c/b/f"), container.file("/srv/c/b/g"))?;
    assert!(readable("/srv/c/b/g")?);
    fs::rename(container.file("/srv/c"), container.file("/srv/locked"))?;
    assert!(!readable("/srv/locked/b/g")?);
    Ok(())
}

fn a_mounted_directory_is_judged_by_its_new_path() -> Result<()> {
    let mut node = node()?;
    let setup = "mkdir -p /volume/a /srv/locked /srv/free; echo text > /volume/a/f";
    let container = node.container("mounted", setup, block(matcher("/srv/locked/**", READ)))?;
    assert!(shell(&container, "cat /volume/a/f && cat /volume/a/f")?.succeeded());
    let script = "mount --bind /volume/a /srv/locked && cat /srv/locked/f && touch /proof/read";
    let ended = shell(&container, script)?;
    assert!(!ended.succeeded() && !container.mark("read").exists(), "{ended:?}");
    assert!(container.file("/srv/locked/f").exists(), "it was not mounted: {ended:?}");
    Ok(())
}

fn a_file_that_replaces_another_is_judged() -> Result<()> {
    let mut node = node()?;
    let container = node.container("replaced", LOCKED, block(matcher("/srv/locked/secret", READ)))?;
    assert!(!shell(&container, "cat /srv/locked/secret")?.succeeded());
    let ended = shell(
        &container,
        "echo mine > /srv/locked/mine && cat /srv/locked/mine && mv /srv/locked/mine /srv/locked/secret",
    )?;
    assert!(ended.succeeded(), "{ended:?}");
    assert!(!shell(&container, "cat /srv/locked/secret")?.succeeded());
    assert!(shell(&container, "rm /srv/locked/secret && echo new > /srv/locked/secret")?.succeeded());
    assert!(!shell(&container, "cat /srv/locked/secret")?.succeeded());
    Ok(())
}
