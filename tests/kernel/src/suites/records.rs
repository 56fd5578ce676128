//! Both drivers tell the same of the same acts: an event is made of a record and its rule set by one function, so that
//! what is equal here is equal in the events' JSON.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_event::{Direction, FileOperation, Protocol, Severity};
use moat_kernel::guard::Guard;
use moat_kernel::{Act, Driver, DriverConfig, Held, Outcome, RawProcess, Record, Sink};
use moat_policy::model::{FileMatcher, NetworkMatcher, ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};

use super::lsm::{self, node};
use super::{Case, cases};
use crate::container::Container;

pub fn cases() -> Vec<Case> {
    let cases = cases!("records": both_drivers_tell_the_same);
    cases.into_iter().map(|case| case.within(lsm::LOADING)).collect()
}

const DEADLINE: Duration = Duration::from_mins(2);

/// What is done, one after the other; each is told once.
const ACTS: [&[&str]; 7] = [
    &["/usr/bin/mark"],
    &["/usr/bin/marked-dynamic", "/proof/watched"],
    &["/usr/bin/marked-dynamic", "/proof/tried"],
    &["/bin/cat", "/etc/secret"],
    &["/bin/cat", "/etc/passwd"],
    &["/bin/nc", "-w", "1", "127.0.0.1", "9"],
    &["/bin/dmesg", "-s", "1"],
];

fn rules() -> Vec<EffectiveRule> {
    let rule = |name: &str, action, enforced, matcher| EffectiveRule {
        policy: "records".into(),
        rule: name.into(),
        severity: Severity::High,
        action,
        enforced,
        matcher,
    };
    let execution = |name: &str, arguments: &str| {
        Matcher::Process(Arc::new(ProcessMatcher {
            names: vec![name.to_owned()],
            args_regex: (!arguments.is_empty()).then(|| arguments.to_owned()),
            ..ProcessMatcher::default()
        }))
    };
    let reading = |path: &str| {
        Matcher::File(Arc::new(FileMatcher {
            paths: vec![path.to_owned()],
            operations: vec![FileOperation::Read],
            processes: Vec::new(),
            users: Vec::new(),
            except: None,
        }))
    };
    let connecting = Matcher::Network(Arc::new(NetworkMatcher {
        direction: Direction::Egress,
        cidrs: vec!["127.0.0.0/8".into()],
        ports: vec!["9".into()],
        protocols: vec![Protocol::Tcp],
        except: None,
    }));
    vec![
        rule("refused", RuleAction::Block, true, execution("mark", "")),
        rule("told", RuleAction::Alert, true, execution("marked-dynamic", "watched")),
        rule("secret", RuleAction::Block, true, reading("/etc/secret")),
        rule("users", RuleAction::Alert, true, reading("/etc/passwd")),
        rule("port", RuleAction::Block, true, connecting),
        rule("log", RuleAction::Alert, true, Matcher::Syscalls(["syslog".to_owned()].into())),
        rule("trial", RuleAction::Block, false, execution("marked-dynamic", "tried")),
    ]
}

/// What is told of an act, but for what differs from run to run.
#[derive(Debug, PartialEq)]
struct Told {
    act: Act,
    outcome: Outcome,
    enforced: Option<usize>,
    audited: Option<usize>,
    process: RawProcess,
    count: u64,
}

impl Told {
    fn new(record: Record) -> Told {
        let mut process = RawProcess { pid: 0, parent_pid: 0, ..record.process };
        match record.act {
            // The agent, which answers in guard, reads what the process was called with; the kernel does not.
            Act::File { .. } => process.arguments.clear(),
            // With either driver it is looked at afterwards, while it may still live.
            Act::Connect { .. } => process = RawProcess::default(),
            // Guard's program does not say how the process came into the container, the other not what it was called with.
            Act::Syscall { .. } => {
                process.arguments.clear();
                process.origin = None;
            }
            _ => {}
        }
        Told {
            act: record.act,
            outcome: record.outcome,
            enforced: record.enforced,
            audited: record.audited,
            process,
            count: record.count,
        }
    }
}

/// What a driver tells of all acts, in their order.
fn told(
    driver: &mut dyn Driver,
    name: &str,
    generation: u64,
    held: &Receiver<Held>,
    records: &Receiver<Record>,
) -> Result<Vec<Told>> {
    let container = Container::start(name)?;
    held.recv_timeout(DEADLINE).context("the start is not held")?;
    let hash = String::from("records");
    driver.apply(&container.scope()?, &Arc::new(RuleSet { generation, hash, rules: rules() }))?;
    let mut told = Vec::new();
    for words in ACTS {
        container.run(words)?;
        let record = records.recv_timeout(DEADLINE).with_context(|| format!("{words:?} is not told"))?;
        told.push(Told::new(record));
    }
    driver.release(container.scope()?.cgroup);
    drop(container);
    let more: Vec<Record> = records.try_iter().collect();
    ensure!(more.is_empty(), "told more than once: {more:?}");
    Ok(told)
}

fn both_drivers_tell_the_same() -> Result<()> {
    let by_guard = {
        let (records_in, records) = mpsc::sync_channel(4096);
        let (held_in, held) = mpsc::sync_channel(64);
        let mut guard = Guard::load(&DriverConfig::default(), Sink::new(records_in), held_in)?;
        told(&mut guard, "told-by-guard", 1, &held, &records)?
    };
    let mut node = node()?;
    node.generation += 1;
    let node = &mut *node;
    let by_lsm = told(&mut node.driver, "told-by-lsm", node.generation, &node.held, &node.records)?;
    for ((words, guard), lsm) in ACTS.iter().zip(by_guard).zip(by_lsm) {
        ensure!(guard == lsm, "of {words:?}\nguard tells {guard:?}\nlsm tells   {lsm:?}");
    }
    Ok(())
}
