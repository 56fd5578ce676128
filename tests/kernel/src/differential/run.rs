//! The run: batches of a rule set and the actions under it, and what became of each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use moat_kernel::{ContainerScope, Driver, Outcome, Record};
use moat_policy::model::RuntimePolicy;
use moat_policy::{EffectiveRule, Evaluator, RuleSet, Users};

use super::action::{Action, Kind, Said, subject};
use super::actors::Actors;
use super::choice::Choice;
use super::expected::{By, Expected, expect};
use super::rules::{as_yaml, policies, rule_set};
use super::world::{Actor, PASSWD};

/// Under one rule set.
const ACTIONS: usize = 50;
/// How long the last records may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// Of more batches no disagreement is told.
const TOLD: usize = 50;

/// Which cases, and how many.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub cases: usize,
}

impl Plan {
    /// From `MOAT_SEED` and `MOAT_CASES`, where they are set.
    pub fn from_environment(seed: u64, cases: usize) -> Result<Plan> {
        let number = |name: &str, default: u64| match std::env::var(name) {
            Ok(text) => text.parse().with_context(|| format!("{name} is {text:?}, not a number")),
            Err(_) => Ok(default),
        };
        let cases = usize::try_from(number("MOAT_CASES", cases as u64)?)?;
        Ok(Plan { seed: number("MOAT_SEED", seed)?, cases })
    }
}

/// A driver at work on one container of the world.
pub struct Site<'a> {
    /// The container's root directory as the test sees it.
    pub root: PathBuf,
    pub by: By,
    pub driver: &'a mut dyn Driver,
    /// Of the first rule set; what older ones say is not looked at.
    pub generation: u64,
    pub scope: ContainerScope,
    pub records: &'a Receiver<Record>,
    pub actors: Actors,
    /// What is done, and whether the driver holds a rule, so that it can be compared.
    pub kinds: &'a [Kind],
    pub is_held: &'a dyn Fn(&EffectiveRule) -> bool,
}

impl std::fmt::Debug for Site<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Site")
            .field("by", &self.by)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// How many actions of a kind were compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// No rule spoke.
    pub untouched: usize,
    /// Reported and allowed.
    pub reported: usize,
    pub stopped: usize,
    /// Where the driver is known to see less than the evaluator.
    pub deviating: usize,
}

/// What was compared. An agreement on nothing would be none.
#[derive(Debug, Clone, Default)]
pub struct Tally(BTreeMap<Kind, Count>);

impl Tally {
    /// Requires that of each kind so many were compared of which a rule spoke, allowed or not, and of which none did.
    pub fn require(&self, least: &[(Kind, usize)]) -> Result<()> {
        for (kind, least) in least {
            let count = self.0.get(kind).copied().unwrap_or_default();
            let seen = [count.untouched, count.reported, count.stopped];
            ensure!(
                seen.iter().all(|seen| seen >= least),
                "too few of {kind:?} were compared: {count:?}, at least {least} are wanted of each"
            );
        }
        Ok(())
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, Count { untouched, reported, stopped, deviating }) in &self.0 {
            writeln!(
                formatter,
                "{kind:?}: {untouched} untouched, {reported} reported, {stopped} stopped, {deviating} deviating"
            )?;
        }
        Ok(())
    }
}

/// One rule set and what is done under it.
struct Batch {
    generation: u64,
    policies: Vec<RuntimePolicy>,
    rules: Arc<RuleSet>,
    done: Vec<Done>,
    /// What was recorded, how often; the third is whether it was stopped.
    recorded: BTreeMap<(Said, bool), u64>,
}

struct Done {
    actor: &'static Actor,
    action: Action,
    expected: Expected,
    answer: i32,
}

/// Runs all cases.
///
/// # Errors
/// With the first disagreements, and how to see them again.
pub fn run(site: &mut Site<'_>, plan: Plan) -> Result<Tally> {
    let began = Instant::now();
    let users = Users::parse(PASSWD.as_bytes());
    let mut choice = Choice::new(plan.seed);
    let mut batches: Vec<Batch> = Vec::new();
    while batches.len() * ACTIONS < plan.cases {
        let generation = site.generation + batches.len() as u64;
        let policies = policies(&mut choice);
        let rules = rule_set(&policies, generation, site.is_held)?;
        let evaluator = Evaluator::new(Arc::clone(&rules), &users)?;
        site.driver.apply(&site.scope, &rules).with_context(|| as_yaml(&policies, &rules))?;
        let mut batch = Batch { generation, policies, rules, done: Vec::new(), recorded: BTreeMap::new() };
        for _ in 0..ACTIONS {
            let (actor, action) = loop {
                let (actor, action) = Action::choose(&mut choice, site.kinds);
                if !matches!(&action, Action::Change(change) if change.may_escape(&evaluator)) {
                    break (actor, action);
                }
            };
            let expected = expect(site.by, &evaluator, actor, &action);
            let answer = site.actors.tell(actor.number, &action.line())?;
            if let Action::Change(change) = &action {
                if answer == 0 { change.undo(&site.root)? } else { change.clear(&site.root)? }
            }
            batch.done.push(Done { actor, action, expected, answer });
        }
        batches.push(batch);
        for record in site.records.try_iter() {
            note(&mut batches, site.generation, &record)?;
        }
    }
    while batches.iter().any(Batch::waits) {
        let Ok(record) = site.records.recv_timeout(DEADLINE) else { break };
        note(&mut batches, site.generation, &record)?;
    }
    eprintln!("{} rule sets took {:.1} s", batches.len(), began.elapsed().as_secs_f32());
    let mut tally = Tally::default();
    let (mut all, mut told) = (0, Vec::new());
    for batch in &batches {
        let found = batch.disagreements();
        all += found.len();
        if !found.is_empty() && told.len() < TOLD {
            let rules = as_yaml(&batch.policies, &batch.rules);
            told.push(format!("{}\nunder generation {}:\n{rules}", found.join("\n"), batch.generation));
        }
        for done in &batch.done {
            done.count(tally.0.entry(done.action.kind()).or_default());
        }
    }
    let seed = plan.seed;
    ensure!(all == 0, "{all} disagreements (MOAT_SEED={seed}); the first:\n\n{}\n{tally}", told.join("\n\n"));
    Ok(tally)
}

fn note(batches: &mut [Batch], first: u64, record: &Record) -> Result<()> {
    if record.generation < first {
        return Ok(());
    }
    let batch = batches.iter_mut().find(|batch| batch.generation == record.generation);
    let batch = batch.with_context(|| format!("a record of no batch: {record:?}"))?;
    let stopped = matches!(record.outcome, Outcome::Denied | Outcome::Killed);
    let said = Said { subject: subject(&record.act), enforced: record.enforced, audited: record.audited };
    *batch.recorded.entry((said, stopped)).or_default() += record.count;
    Ok(())
}

impl Batch {
    fn expected(&self) -> BTreeMap<(Said, bool), u64> {
        let mut expected = BTreeMap::new();
        for done in &self.done {
            let records = &done.expected.records;
            for (place, said) in records.iter().enumerate() {
                let stopped = done.expected.end.is_stopped() && place + 1 == records.len();
                *expected.entry((said.clone(), stopped)).or_default() += 1;
            }
        }
        expected
    }

    /// Whether a record is missing.
    fn waits(&self) -> bool {
        self.expected().iter().any(|(said, count)| self.recorded.get(said).unwrap_or(&0) < count)
    }

    fn disagreements(&self) -> Vec<String> {
        let mut found = Vec::new();
        for done in self.done.iter().filter(|done| !done.expected.end.agrees(done.answer)) {
            found.push(format!(
                "{} by {}\n  expected {:?}: {}\n  got {}",
                done.action.line().replace('\t', " | "),
                done.actor,
                done.expected.end,
                self.in_words(&done.expected.records),
                answer_in_words(done.answer)
            ));
        }
        let expected = self.expected();
        let all = expected.keys().chain(self.recorded.keys()).collect::<std::collections::BTreeSet<_>>();
        for key in all {
            let (wanted, got) = (expected.get(key).unwrap_or(&0), self.recorded.get(key).unwrap_or(&0));
            if wanted != got {
                let (said, stopped) = key;
                let stopped = if *stopped { "stopped" } else { "allowed" };
                let what = self.in_words(std::slice::from_ref(said));
                let about =
                    |done: &Done| {
                        let words = done.action.line().replace('\t', " | ");
                        done.expected.records.iter().any(|record| record.subject == said.subject).then(|| {
                            format!("\n  {words} by {}: {}", done.actor, answer_in_words(done.answer))
                        })
                    };
                let acts: String = self.done.iter().filter_map(about).collect();
                found.push(format!("records of {what} {stopped}: expected {wanted}, got {got}{acts}"));
            }
        }
        found
    }

    fn in_words(&self, all: &[Said]) -> String {
        let name = |index: Option<usize>| match index {
            Some(index) => self.rules.rules.get(index).map_or("?".into(), |rule| rule.rule.to_string()),
            None => "none".into(),
        };
        let words = |said: &Said| {
            format!("{} (enforced {}, audited {})", said.subject, name(said.enforced), name(said.audited))
        };
        if all.is_empty() { "no rule".into() } else { all.iter().map(words).collect::<Vec<_>>().join(", ") }
    }
}

impl Done {
    fn count(&self, count: &mut Count) {
        let which = match (&self.expected.end, self.expected.records.is_empty()) {
            (end, _) if end.is_stopped() => &mut count.stopped,
            (_, true) => &mut count.untouched,
            (_, false) => &mut count.reported,
        };
        *which += 1;
        count.deviating += usize::from(self.expected.deviates);
    }
}

fn answer_in_words(answer: i32) -> String {
    match answer {
        0 => "success".into(),
        errno @ 1.. => rustix::io::Errno::from_raw_os_error(errno).to_string(),
        signal => format!("signal {}", -signal),
    }
}
