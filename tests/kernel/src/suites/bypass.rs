//! Ways around rules, each tried twice: without the rules it must work, with them it must not.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use moat_event::Workload;
use moat_kernel::{Driver, Outcome, Record};
use moat_policy::model::{API_VERSION, Metadata, Mode, RuntimePolicy, RuntimePolicySpec};
use moat_policy::{ActivePolicy, PolicySet, RuleSet};

use super::lsm::{LOADING, Node, node};
use super::{Case, Machine, skip};
use crate::bypass::{self, Before, Trick};
use crate::container::{Container, Ended};

/// How long a container may take to be held, and how long a trick may take.
const DEADLINE: Duration = Duration::from_secs(30);
const LIMIT: Duration = Duration::from_mins(2);

/// All tricks, in one program.
const PROGRAM: &str = "/opt/bypass/tricks";
const NOT_HERE: i32 = 77;

pub fn cases() -> Vec<Case> {
    let case = |name: String| {
        // One that cannot be read fails where it is run.
        let wants_more = bypass::trick(&name).is_ok_and(|trick| trick.cpus > 1);
        let case = Case::new("bypass", &name.clone(), move || run(&name)).within(LOADING);
        if wants_more { case.on(Machine::Parallel) } else { case }
    };
    bypass::names().into_iter().map(case).collect()
}

/// How one attempt ended.
struct Attempt {
    ended: Ended,
    /// The proofs that show an effect.
    shown: Vec<String>,
    records: Vec<Record>,
}

fn run(name: &str) -> Result<()> {
    let trick = bypass::trick(name)?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if let Some(needed) = trick.needs.iter().find(|needed| older(&release, needed)) {
        return skip(format!("needs Linux {needed}"));
    }
    let mut node = node()?;

    let control = node.attempt(name, &trick, false)?;
    if control.ended.status == Some(NOT_HERE) {
        return skip(control.ended.output.trim());
    }
    ensure!(
        control.ended.succeeded() && control.shown.len() == trick.proof.len(),
        "without rules it does not work: {:?}, of {:?} there shows only {:?}",
        control.ended,
        trick.proof,
        control.shown
    );

    let attempt = node.attempt(name, &trick, true)?;
    // A loader that may not map the program ends as it likes.
    let refused = attempt.records.iter().any(|record| record.outcome == Outcome::Denied);
    let stopped = attempt.ended.status == Some(1)
        || attempt.ended.was_killed()
        || attempt.ended.was_refused()
        || (refused && !attempt.ended.succeeded());
    let held = stopped && attempt.shown.is_empty();
    match (trick.gap(&release), held) {
        (None, true) => {
            // No rule speaks about tampering: it is refused whatever the rules say.
            let told = trick.rules.is_empty()
                || name.starts_with("tamper/")
                || attempt.records.iter().any(|record| record.enforced.is_some());
            ensure!(told, "it was stopped, but no record says so: {:?}", attempt.records);
            Ok(())
        }
        (None, false) => {
            bail!("it got through: {:?}, {:?}; records {:?}", attempt.ended, attempt.shown, attempt.records)
        }
        (Some(why), false) => skip(format!("a known gap: {why}")),
        (Some(why), true) => bail!("it is stopped although it is said to be a gap ({why}): take that out"),
    }
}

impl Node {
    fn attempt(&mut self, name: &str, trick: &Trick, ruled: bool) -> Result<Attempt> {
        self.containers += 1;
        let id = format!("{}-{}", name.replace('/', "-"), self.containers);
        while self.held.try_recv().is_ok() {}
        let container =
            if trick.host_pid { Container::start_among_all(&id)? } else { Container::start(&id)? };
        let scope = container.scope()?;
        let held = self.held.recv_timeout(DEADLINE).context("the container's start is not held")?;
        ensure!(held.cgroup == scope.cgroup, "another start is held: {held:?}, not of {scope:?}");
        self.driver.dismiss(&scope)?;
        let attempt = self.within(&container, name, trick, ruled);
        self.driver.release(scope.cgroup);
        attempt
    }

    fn within(&mut self, container: &Container, name: &str, trick: &Trick, ruled: bool) -> Result<Attempt> {
        let session = |words: &[&str]| {
            let mut session =
                container.session(words).variable("MOAT_TRICK", name).variable("TRICK", PROGRAM);
            if trick.host_pid {
                session = session.variable("MOAT_AGENT_PID", &std::process::id().to_string());
            }
            session
        };
        if let Some(setup) = &trick.setup {
            let ended = session(&["/bin/sh", "-e", "-c", setup]).run()?;
            ensure!(ended.succeeded(), "the setup fails: {ended:?}");
        }
        let place = |path: &std::path::PathBuf| container.file(&path.to_string_lossy());
        let before: Vec<Before> =
            trick.proof.iter().map(|proof| proof.before(place)).collect::<Result<_>>()?;
        if ruled {
            self.generation += 1;
            let rules = rule_set(trick, self.generation)?;
            self.driver.apply(&container.scope()?, &rules)?;
        }
        while self.records.try_recv().is_ok() {}
        let ended = session(&[PROGRAM]).user(trick.user).run_within(LIMIT)?;
        let mut shown = Vec::new();
        for (proof, before) in trick.proof.iter().zip(&before) {
            if proof.shows(before, place)? {
                shown.push(format!("{proof:?}"));
            }
        }
        let mut records: Vec<Record> = Vec::new();
        if ruled && !trick.rules.is_empty() {
            records.extend(self.records.recv_timeout(Duration::from_secs(5)).ok());
        }
        records.extend(self.records.try_iter().take(20));
        Ok(Attempt { ended, shown, records })
    }
}

fn rule_set(trick: &Trick, generation: u64) -> Result<Arc<RuleSet>> {
    let policy = RuntimePolicy {
        api_version: API_VERSION.into(),
        kind: "RuntimePolicy".into(),
        metadata: Metadata { name: "bypass".into(), ..Metadata::default() },
        spec: RuntimePolicySpec {
            namespace_selector: None,
            label_selector: None,
            workload_selector: None,
            mode: Mode::Enforce,
            enforce_after: None,
            rules: trick.rules(),
        },
    };
    let now = Timestamp::now();
    let active = ActivePolicy { policy: Arc::new(policy), first_seen: now };
    Ok(PolicySet::new([active], generation)?.rule_set(&Workload::default(), now))
}

/// Whether a kernel's release is before a series.
fn older(release: &str, series: &str) -> bool {
    let numbers = |text: &str| -> Vec<u32> {
        text.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect()
    };
    numbers(release) < numbers(series)
}
