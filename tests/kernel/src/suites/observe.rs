//! What containers do is told by either driver, whether or not a rule speaks of it.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_event::{Direction, Origin, Protocol, Severity};
use moat_kernel::guard::Guard;
use moat_kernel::lsm::Lsm;
use moat_kernel::{Act, Driver, DriverConfig, Held, Observation, Sink};
use moat_policy::model::{ProcessMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{EffectiveRule, RuleSet};

use super::{Case, cases, lsm};
use crate::container::Container;

pub fn cases() -> Vec<Case> {
    let cases = cases!("observe": guard_observes_without_loops, the_lsm_driver_observes);
    cases.into_iter().map(|case| case.within(lsm::LOADING)).collect()
}

const DEADLINE: Duration = Duration::from_mins(2);
const MARK: &str = "/usr/bin/mark";
const TIMES: u64 = 50;

fn the_lsm_driver_observes() -> Result<()> {
    observes(|sink, held| {
        let (records, _unread) = mpsc::sync_channel(4096);
        let config = DriverConfig { observations: Some(sink), ..DriverConfig::default() };
        Ok(Lsm::load(&config, Sink::new(records), held)?)
    })
}

/// As on kernels before 5.17.
fn guard_observes_without_loops() -> Result<()> {
    observes(|sink, held| {
        let (records, _unread) = mpsc::sync_channel(4096);
        let config = DriverConfig { observations: Some(sink), without_loop: true, ..DriverConfig::default() };
        Ok(Guard::load(&config, Sink::new(records), held)?)
    })
}

fn observes<D: Driver>(
    load: impl FnOnce(Sink<Observation>, mpsc::SyncSender<Held>) -> Result<D>,
) -> Result<()> {
    let (observations_in, observations) = mpsc::sync_channel(4096);
    let (held_in, held) = mpsc::sync_channel(64);
    let mut driver = load(Sink::new(observations_in), held_in)?;
    let container = Container::start("observed")?;
    held.recv_timeout(DEADLINE).context("the start is not held")?;
    let scope = container.scope()?;
    driver.dismiss(&scope)?;
    let entrypoint = next(&observations, |act| matches!(act, Act::Exec { .. })).context("the entrypoint")?;
    ensure!(entrypoint.process.pid == container.init_pid(), "{entrypoint:?}");

    ensure!(container.run(&[MARK, "/proof/seen"])?.succeeded());
    let seen = next(&observations, ran(MARK)).context("an execution")?;
    ensure!(seen.cgroup == scope.cgroup && seen.process.origin == Some(Origin::ExecSession), "{seen:?}");
    ensure!(seen.process.arguments == b"/usr/bin/mark\0/proof/seen\0", "{seen:?}");

    // A network of its own begins without one.
    ensure!(container.run(&["/bin/ip", "link", "set", "lo", "up"])?.succeeded());
    container.run(&["/bin/nc", "-w", "1", "127.0.0.1", "9"])?;
    let seen = next(&observations, |act| matches!(act, Act::Connect { .. })).context("a connection")?;
    let peer = [127, 0, 0, 1].into();
    let (direction, protocol) = (Direction::Egress, Protocol::Tcp);
    ensure!(seen.act == Act::Connect { direction, protocol, peer, port: 9 }, "{seen:?}");

    // What is refused has not run.
    let mark = ProcessMatcher { names: vec!["mark".into()], ..ProcessMatcher::default() };
    let refused = EffectiveRule {
        policy: "test".into(),
        rule: "block".into(),
        severity: Severity::High,
        action: RuleAction::Block,
        enforced: true,
        matcher: Matcher::Process(Arc::new(mark)),
    };
    driver.apply(&scope, &Arc::new(RuleSet { generation: 7, hash: "block".into(), rules: vec![refused] }))?;
    ensure!(!container.run(&[MARK, "/proof/refused"])?.succeeded());

    let again =
        format!("i=0; while [ $i -lt {TIMES} ]; do /bin/cat /etc/passwd > /dev/null; i=$((i+1)); done");
    ensure!(container.run(&["/bin/sh", "-c", &again])?.succeeded());
    // What was counted is told at the latest when the driver goes.
    drop(driver);
    let rest: Vec<Observation> = observations.try_iter().collect();
    ensure!(!rest.iter().any(|seen| ran(MARK)(&seen.act)), "what was refused is told to have run");
    let cat = |seen: &&Observation| seen.process.arguments == b"/bin/cat\0/etc/passwd\0";
    let counts: Vec<u64> = rest.iter().filter(cat).map(|seen| seen.count).collect();
    ensure!(counts.iter().sum::<u64>() == TIMES, "{counts:?}");
    ensure!((counts.len() as u64) < TIMES / 2, "{counts:?}");
    Ok(())
}

fn ran(path: &str) -> impl Fn(&Act) -> bool {
    let path = path.as_bytes().to_vec();
    move |act| matches!(act, Act::Exec { path: ran, .. } if *ran == path)
}

/// The next one that is about `wanted`.
fn next(observations: &Receiver<Observation>, wanted: impl Fn(&Act) -> bool) -> Result<Observation> {
    loop {
        let seen = observations.recv_timeout(DEADLINE).context("it is not observed")?;
        if wanted(&seen.act) {
            return Ok(seen);
        }
    }
}
