//! Kernels before 5.17 have no `bpf_loop`, and Debian has none of them for a guest: here the drivers do as there. Each
//! loop of theirs decides something.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_event::{Direction, FileOperation, Severity};
use moat_kernel::guard::Guard;
use moat_kernel::lsm::Lsm;
use moat_kernel::{Driver, DriverConfig, Held, Record, Sink};
use moat_policy::model::{FileMatcher, NetworkMatcher, ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};

use super::{Case, cases};
use crate::container::{Container, Ended};

pub fn cases() -> Vec<Case> {
    cases!("older": the_lsm_driver_does_without_loops, guard_does_without_loops)
}

const DEADLINE: Duration = Duration::from_secs(30);
const MARK: &str = "/usr/bin/mark";
const DEEP: &str = "/srv/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/";
const SETUP: &str = "set -e; mkdir -p /srv; cd /srv; mkdir -p 1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20 kept; touch kept/it; \
     cp /usr/bin/mark copied; cp /usr/bin/mark other; cd 1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20; \
     echo secret > secret; echo plain > plain";

struct Node<D> {
    driver: D,
    _records: Receiver<Record>,
    held: Receiver<Held>,
}

impl<D: Driver> Node<D> {
    fn load<E: std::error::Error + Send + Sync + 'static>(
        load: impl FnOnce(&DriverConfig, Sink, mpsc::SyncSender<Held>) -> Result<D, E>,
    ) -> Result<Node<D>> {
        let (records_in, records) = mpsc::sync_channel(4096);
        let (held_in, held) = mpsc::sync_channel(64);
        let config = DriverConfig { without_loop: true, ..DriverConfig::default() };
        let driver = load(&config, Sink::new(records_in), held_in)?;
        Ok(Node { driver, _records: records, held })
    }

    fn container(&mut self, name: &str) -> Result<Container> {
        let container = Container::start(name)?;
        self.held.recv_timeout(DEADLINE).context("the start is not held")?;
        self.driver.dismiss(&container.scope()?)?;
        let ended = shell(&container, SETUP)?;
        ensure!(ended.succeeded(), "the setup fails: {ended:?}");
        let rules = RuleSet { generation: 1, hash: name.to_owned(), rules: rules() };
        self.driver.apply(&container.scope()?, &Arc::new(rules))?;
        Ok(container)
    }
}

fn shell(container: &Container, script: &str) -> Result<Ended> {
    container.run(&["/bin/sh", "-c", script])
}

fn rules() -> Vec<EffectiveRule> {
    let process = |matcher| Matcher::Process(Arc::new(matcher));
    let file = |path: String, operations: &[FileOperation]| {
        Matcher::File(Arc::new(FileMatcher {
            paths: vec![path],
            operations: operations.to_vec(),
            processes: Vec::new(),
            users: Vec::new(),
            except: None,
        }))
    };
    let mut matchers = vec![
        // A deep path, one with a wildcard, a name's expression, arguments, an applet, an ancestor, a port of several.
        file(format!("{DEEP}secret"), &[FileOperation::Read]),
        file("/srv/k*t/it".into(), &[FileOperation::Write, FileOperation::Rename]),
        process(ProcessMatcher { name_regex: Some("^cop".into()), ..ProcessMatcher::default() }),
        process(ProcessMatcher { args_regex: Some("evil[0-9]+".into()), ..ProcessMatcher::default() }),
        process(ProcessMatcher { names: vec!["wget".into()], ..ProcessMatcher::default() }),
        process(ProcessMatcher {
            paths: vec![MARK.into()],
            parents: vec!["/bin/busybox".into()],
            ..ProcessMatcher::default()
        }),
        Matcher::Network(Arc::new(NetworkMatcher {
            direction: Direction::Egress,
            cidrs: Vec::new(),
            ports: vec!["7".into(), "8-10".into()],
            protocols: Vec::new(),
            except: None,
        })),
    ];
    // A list of some length: each is about the same folder, and the last of them refuses.
    matchers.extend((0..200).map(|number| {
        let operation = if number == 199 { FileOperation::Delete } else { FileOperation::Chown };
        file("/srv/kept/**".into(), &[operation])
    }));
    let rules = matchers.into_iter().enumerate().map(|(number, matcher)| EffectiveRule {
        policy: "older".into(),
        rule: format!("{number:03}").into(),
        severity: Severity::High,
        action: RuleAction::Block,
        enforced: true,
        matcher,
    });
    rules.collect()
}

/// What both drivers hold: executions, also by arguments at the end of many pages, connections, and reading.
fn holds(container: &Container) -> Result<()> {
    let stopped = |words: &[&str]| -> Result<()> {
        let ended = container.run(words)?;
        ensure!(
            ended.was_refused() || ended.was_killed(),
            "{} was not stopped: {ended:?}",
            words.concat().len()
        );
        Ok(())
    };
    let read = container.run(&["/bin/cat", &format!("{DEEP}secret")])?;
    ensure!(!read.output.contains("secret\n"), "{read:?}");
    let plain = container.run(&["/bin/cat", &format!("{DEEP}plain")])?;
    ensure!(plain.succeeded() && plain.output == "plain\n", "{plain:?}");

    stopped(&["/srv/copied", "/proof/copied"])?;
    let long = "x".repeat(20_000);
    stopped(&["/srv/other", "/proof/arguments", &long, "evil42"])?;
    ensure!(
        container.run(&["/srv/other", "/proof/fine", &long, "evil"])?.succeeded(),
        "what is fine is refused"
    );
    stopped(&["/bin/busybox", "wget"])?;
    let below = shell(container, "/bin/sh -c '/usr/bin/mark /proof/below; exit 0'; exit 0")?;
    ensure!(below.succeeded(), "{below:?}");
    ensure!(container.run(&[MARK, "/proof/alone"])?.succeeded(), "without its ancestor it is refused");
    let connected = container.run(&["/bin/nc", "-w", "1", "127.0.0.1", "9"])?;
    ensure!(connected.output.contains("not permitted"), "{connected:?}");
    let other = container.run(&["/bin/nc", "-w", "1", "127.0.0.1", "11"])?;
    ensure!(!other.output.contains("not permitted"), "{other:?}");
    for mark in ["copied", "arguments", "below"] {
        ensure!(!container.mark(mark).exists(), "{mark} ran");
    }
    for mark in ["fine", "alone"] {
        ensure!(container.mark(mark).exists(), "{mark} did not run");
    }
    Ok(())
}

fn the_lsm_driver_does_without_loops() -> Result<()> {
    let mut node = Node::load(Lsm::load)?;
    let container = node.container("older-lsm")?;
    holds(&container)?;
    let removed = shell(&container, "rm /srv/kept/it")?;
    ensure!(!removed.succeeded() && removed.output.contains("not permitted"), "{removed:?}");
    let renamed = shell(&container, "mv /srv/kept/it /srv/it")?;
    ensure!(!renamed.succeeded() && container.file("/srv/kept/it").exists(), "{renamed:?}");
    let escaped = shell(&container, "mv /srv/kept /srv/free")?;
    ensure!(!escaped.succeeded() && container.file("/srv/kept/it").exists(), "{escaped:?}");
    let fine = shell(
        &container,
        "touch /srv/beside && mv /srv/beside /srv/aside && rm /srv/aside && cat /srv/kept/it",
    )?;
    ensure!(fine.succeeded(), "{fine:?}");
    Ok(())
}

fn guard_does_without_loops() -> Result<()> {
    let mut node = Node::load(Guard::load)?;
    let container = node.container("older-guard")?;
    holds(&container)
}
