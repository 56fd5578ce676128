//! The guard driver on kernels that it was not developed on.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_event::Severity;
use moat_kernel::guard::Guard;
use moat_kernel::{Act, Driver, DriverConfig, Held, Outcome, Record, Sink};
use moat_policy::model::{ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};

use super::{Case, cases};
use crate::container::Container;

pub fn cases() -> Vec<Case> {
    cases!("guard": it_loads, an_execution_is_refused, an_execution_by_arguments_is_killed, a_held_start_goes_on)
}

const DEADLINE: Duration = Duration::from_secs(30);

/// A loaded driver and what it says.
struct Node {
    guard: Guard,
    records: Receiver<Record>,
    held: Receiver<Held>,
}

impl Node {
    fn start() -> Result<Node> {
        let (records_in, records) = mpsc::sync_channel(4096);
        let (held_in, held) = mpsc::sync_channel(64);
        let guard = Guard::load(&DriverConfig::default(), Sink::new(records_in), held_in)?;
        Ok(Node { guard, records, held })
    }

    /// A container that was held at its start, with rules in force.
    fn container(&mut self, name: &str, rules: Vec<EffectiveRule>) -> Result<Container> {
        let container = Container::start(name)?;
        let held = self.held.recv_timeout(DEADLINE).context("the start is not held")?;
        let scope = container.scope()?;
        ensure!((held.cgroup, held.pid) == (scope.cgroup, scope.init_pid), "{held:?}, but {scope:?}");
        let hash = format!("{rules:?}");
        self.guard.apply(&scope, &Arc::new(RuleSet { generation: 7, hash, rules }))?;
        Ok(container)
    }
}

fn block(matcher: ProcessMatcher) -> EffectiveRule {
    EffectiveRule {
        policy: "test".into(),
        rule: "block".into(),
        severity: Severity::High,
        action: RuleAction::Block,
        enforced: true,
        matcher: Matcher::Process(Arc::new(matcher)),
    }
}

fn it_loads() -> Result<()> {
    let entries = Node::start()?.guard.probe(None)().entries;
    for entry in entries.iter().filter(|entry| entry.name != moat_kernel::capability::name::LSM) {
        assert!(entry.available, "{}: {}", entry.name, entry.detail);
    }
    Ok(())
}

fn an_execution_is_refused() -> Result<()> {
    let mut node = Node::start()?;
    let matcher = ProcessMatcher { paths: vec!["/usr/bin/mark".into()], ..ProcessMatcher::default() };
    let container = node.container("refused", vec![block(matcher)])?;

    let denied = container.run(&["/usr/bin/mark"])?;
    assert!(denied.was_refused() || denied.was_killed(), "{denied:?}");
    assert!(!container.mark("ran").exists(), "it ran: {denied:?}");
    let record = node.records.recv_timeout(DEADLINE).context("no record")?;
    assert!(matches!(record.outcome, Outcome::Denied | Outcome::Killed), "{record:?}");
    assert!(matches!(record.act, Act::Exec { ref path, .. } if path == b"/usr/bin/mark"), "{record:?}");

    let other = container.run(&["/usr/bin/marked-dynamic", "/proof/other"])?;
    assert!(other.succeeded() && container.mark("other").exists(), "{other:?}");
    let none = RuleSet { generation: 8, hash: "none".into(), rules: Vec::new() };
    node.guard.apply(&container.scope()?, &Arc::new(none))?;
    let allowed = container.run(&["/usr/bin/mark"])?;
    assert!(allowed.succeeded() && container.mark("ran").exists(), "{allowed:?}");
    Ok(())
}

fn an_execution_by_arguments_is_killed() -> Result<()> {
    let mut node = Node::start()?;
    let matcher = ProcessMatcher {
        names: vec!["mark".into()],
        args_regex: Some("evil[0-9]+".into()),
        ..ProcessMatcher::default()
    };
    let container = node.container("arguments", vec![block(matcher)])?;
    let denied = container.run(&["/usr/bin/mark", "/proof/evil42"])?;
    assert!(denied.was_killed(), "{denied:?}");
    assert!(!container.mark("evil42").exists());
    let record = node.records.recv_timeout(DEADLINE).context("no record")?;
    assert_eq!(record.process.arguments, b"/usr/bin/mark\0/proof/evil42\0");

    let fine = container.run(&["/usr/bin/mark", "/proof/fine"])?;
    assert!(fine.succeeded() && container.mark("fine").exists(), "{fine:?}");
    Ok(())
}

/// Nothing selects the container: its start, held until that is known, goes on, and nothing is refused.
fn a_held_start_goes_on() -> Result<()> {
    let mut node = Node::start()?;
    let mut container = Container::start_with("held", &["/usr/bin/mark", "/proof/started"])?;
    let held = node.held.recv_timeout(DEADLINE).context("the start is not held")?;
    assert_eq!(held.pid, container.init_pid());
    assert!(!container.mark("started").exists(), "it ran before its rules were known");
    node.guard.dismiss(&container.scope()?)?;
    let ended = container.wait()?;
    assert!(ended.succeeded() && container.mark("started").exists(), "{ended:?}");
    Ok(())
}
