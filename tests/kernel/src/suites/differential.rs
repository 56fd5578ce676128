//! Generated rule sets and actions: the lsm driver decides as the reference evaluator does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use moat_kernel::Driver;
use moat_policy::RuleSet;

use super::Case;
use super::lsm::{Node, node};
use crate::container::Container;
use crate::differential::world::ACT;
use crate::differential::{Actors, By, Kind, Plan, Site, run};

/// With as many cases as are run by themselves.
const LIMIT: Duration = Duration::from_mins(30);
/// On each of two kernels.
const CASES: usize = 1_250;
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
    vec![Case::new("differential", "the_lsm_decides_as_the_evaluator", lsm).within(LIMIT)]
}

fn lsm() -> Result<()> {
    let mut node = node()?;
    let Node { driver, records, held, generation, .. } = &mut *node;
    while held.try_recv().is_ok() || records.try_recv().is_ok() {}
    let lost = driver.losses();
    let container = Container::start_with("differential", &[ACT, "entrypoint"])?;
    let held = held.recv_timeout(DEADLINE).context("the start is not held")?;
    let scope = container.scope()?;
    ensure!((held.cgroup, held.pid) == (scope.cgroup, scope.init_pid), "{held:?}, but {scope:?}");
    let cgroup = scope.cgroup;
    driver.apply(
        &scope,
        &Arc::new(RuleSet { generation: *generation + 1, hash: "none".into(), rules: Vec::new() }),
    )?;
    let actors = Actors::meet(&container.file("/"), || {
        container.session(&[ACT, "session"]).start().map(drop).context("cannot start a session")
    })?;
    let mut site = Site {
        root: container.file("/"),
        by: By::Lsm,
        driver,
        generation: *generation + 2,
        scope,
        records,
        actors,
        kinds: &KINDS,
        // All of it, as written.
        is_held: &|_| true,
    };
    // Each kernel's cases are its own.
    let (major, minor) = crate::node::kernel();
    let plan = Plan::from_environment(u64::from(major) << 32 | u64::from(minor), CASES)?;
    *generation += 2 + plan.cases as u64;
    let tally = run(&mut site, plan)?;
    eprintln!("{tally}");
    ensure!(driver.losses() == lost, "{:?}, and before {lost:?}", driver.losses());
    driver.release(cgroup);
    // Calls and capabilities are one case in seventeen together, and in few of them a rule only reports.
    let wanted = |kind| match kind {
        Kind::Call | Kind::Capability => plan.cases / 2_500,
        _ => plan.cases / 1_000,
    };
    tally.require(&KINDS.map(|kind| (kind, wanted(kind))))
}
