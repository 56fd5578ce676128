//! Generated rule sets and actions: the lsm driver decides as the reference evaluator does.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_kernel::lsm::Lsm;
use moat_kernel::{Driver, DriverConfig, Sink};
use moat_policy::RuleSet;

use super::Case;
use crate::container::Container;
use crate::differential::world::ACT;
use crate::differential::{Actors, By, Kind, Plan, Site, run};

/// With as many cases as are run by themselves.
const LIMIT: Duration = Duration::from_mins(5);
const DEADLINE: Duration = Duration::from_secs(30);
const KINDS: [Kind; 8] = [
    Kind::Execution,
    Kind::Script,
    Kind::Open,
    Kind::Change,
    Kind::Connection,
    Kind::Listening,
    Kind::Call,
    Kind::Capability,
];

pub fn cases() -> Vec<Case> {
    vec![Case::new("differential", "the_lsm_decides_as_the_evaluator", lsm).within(LIMIT).slow()]
}

fn lsm() -> Result<()> {
    let (records_in, records) = mpsc::sync_channel(1 << 14);
    let (held_in, held) = mpsc::sync_channel(64);
    let mut driver = Lsm::load(&DriverConfig::default(), Sink::new(records_in), held_in)?;
    let container = Container::start_with("differential", &[ACT, "entrypoint"])?;
    let held = held.recv_timeout(DEADLINE).context("the start is not held")?;
    let scope = container.scope()?;
    ensure!((held.cgroup, held.pid) == (scope.cgroup, scope.init_pid), "{held:?}, but {scope:?}");
    driver.apply(&scope, &Arc::new(RuleSet { generation: 1, hash: "none".into(), rules: Vec::new() }))?;
    let actors = Actors::meet(&container.file("/"), || {
        container.session(&[ACT, "session"]).start().map(drop).context("cannot start a session")
    })?;
    let mut site = Site {
        root: container.file("/"),
        by: By::Lsm,
        driver: &mut driver,
        scope,
        records: &records,
        actors,
        kinds: &KINDS,
        // All of it, as written.
        is_held: &|_| true,
    };
    // Each kernel's cases are its own.
    let (major, minor) = crate::node::kernel();
    let plan = Plan::from_environment(u64::from(major) << 32 | u64::from(minor), 2_500)?;
    let tally = run(&mut site, plan)?;
    eprintln!("{tally}");
    ensure!(driver.losses().iter().all(|loss| loss.events == 0), "{:?}", driver.losses());
    tally.require(&KINDS.map(|kind| (kind, plan.cases / 500)))
}
