//! The one task that knows everything about the containers, and decides what is done next.
//!
//! It owns the inventory and no other task touches it; questions come in through a channel. It never blocks:
//! files are small and in `/proc`, the runtime answers in tasks of their own, and the driver has its thread.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use moat_event::{Event, EventAction, Loss, Severity};
use moat_kernel::{ApplyError, ContainerScope, Held, Inherited};
use moat_policy::RuleSet;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::enforcement::{Answer, Enforcement, Order, Settle};
use super::filters::Filters;
use super::inventory::{Entered, Id, Inventory, Problem};
use super::report::{Query, Setting};
use super::scope::scope;
use crate::events::Journal;
use crate::policies::Policies;
use crate::response::{Quarantine, follow_up};
use crate::runtime::cgroup::Hierarchy;
use crate::runtime::{Change, Container, Hint, RESOLVE_DEADLINE, RuntimeId, Source};

/// How often losses are compared and failures are looked at again.
const TICK: Duration = Duration::from_secs(1);
/// How many containers' rules are prepared at a time. A held start waits meanwhile: some tens of milliseconds.
const PREPARED: usize = 16;
/// How long to wait before a runtime that does not know a held start is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Everything that comes to the manager.
#[derive(Debug)]
pub struct Inputs {
    /// Of each runtime, by its index.
    pub changes: mpsc::Receiver<(usize, Change)>,
    pub held: mpsc::Receiver<Held>,
    pub policies: watch::Receiver<Arc<Policies>>,
    pub quarantines: mpsc::Receiver<(Quarantine, Event)>,
    pub queries: mpsc::Receiver<Query>,
}

#[derive(Debug)]
pub struct Manager {
    pub(super) inventory: Inventory,
    pub(super) policies: Arc<Policies>,
    pub(super) setting: Setting,
    pub(super) losses: Vec<Loss>,
    /// Runtimes that do not answer, and why.
    pub(super) unreachable: BTreeMap<usize, String>,
    /// Containers that cannot be protected, and why.
    pub(super) unprotected: BTreeMap<Id, String>,
    pub(super) filters: Filters,
    /// Runtimes that have not said yet what runs.
    unheard: BTreeSet<usize>,
    /// What an agent before us left for containers that have ended is gone.
    forgotten: bool,
    journal: Arc<Journal>,
    sources: Vec<Arc<dyn Source>>,
    hierarchy: Hierarchy,
    enforcement: Enforcement,
    /// Whether an order was given and not answered.
    busy: bool,
    work: Work,
    /// Starts that are held in cgroups no container of which is known, being resolved.
    resolving: JoinSet<(Held, Option<(usize, Container)>)>,
    unresolved: HashSet<u64>,
    /// Cgroups without a known container whose starts went on, with the process that started.
    strangers: HashMap<u64, u32>,
    /// Quarantines asked for, whose rules are not in force yet.
    quarantining: HashMap<u64, Event>,
}

/// What is to be done, by cgroup; the first kind that is not empty comes first.
#[derive(Debug, Default)]
struct Work {
    /// Held starts of known containers.
    held: BTreeSet<u64>,
    /// Held starts of no known container.
    unknown: BTreeMap<u64, ContainerScope>,
    gone: BTreeSet<u64>,
    changed: BTreeSet<u64>,
    /// How many of the first that changed the driver has been told of.
    prepared: usize,
    count_losses: bool,
}

impl Manager {
    pub fn new(
        setting: Setting,
        filters: Filters,
        journal: Arc<Journal>,
        sources: Vec<Arc<dyn Source>>,
        hierarchy: Hierarchy,
        enforcement: Enforcement,
    ) -> Manager {
        Manager {
            inventory: Inventory::default(),
            policies: Arc::default(),
            setting,
            losses: Vec::new(),
            unreachable: BTreeMap::new(),
            unprotected: BTreeMap::new(),
            filters,
            unheard: (0..sources.len()).collect(),
            forgotten: false,
            journal,
            sources,
            hierarchy,
            enforcement,
            busy: false,
            work: Work::default(),
            resolving: JoinSet::new(),
            unresolved: HashSet::new(),
            strangers: HashMap::new(),
            quarantining: HashMap::new(),
        }
    }

    /// Runs until `cancel`, then takes the driver down.
    pub async fn run(mut self, mut inputs: Inputs, cancel: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.policies = Arc::clone(&inputs.policies.borrow_and_update());
        loop {
            self.give_next_order();
            self.tell_of_gap();
            self.tell_what_is_in_force();
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(answer) = self.enforcement.answers.recv() => self.answered(answer),
                Some(held) = inputs.held.recv() => self.held(held),
                Some(Ok((held, container))) = self.resolving.join_next() => self.resolved(held, container),
                Some((source, change)) = inputs.changes.recv() => self.change(source, change),
                Ok(()) = inputs.policies.changed() => {
                    let policies = Arc::clone(&inputs.policies.borrow_and_update());
                    self.take_policies(policies);
                }
                Some((quarantine, event)) = inputs.quarantines.recv() => self.cut_off(quarantine, event),
                Some(query) = inputs.queries.recv() => self.answer(query),
                _ = tick.tick() => self.look_again(),
            }
        }
        self.resolving.abort_all();
        let enforcement = self.enforcement;
        if tokio::task::spawn_blocking(move || enforcement.finish()).await.is_err() {
            tracing::error!("the driver was not taken down cleanly");
        }
    }

    fn give_next_order(&mut self) {
        while !self.busy {
            let Some(order) = self.next_order() else { return };
            self.busy = self.enforcement.give(order);
            if !self.busy {
                tracing::error!("the enforcement thread has ended");
                return;
            }
        }
    }

    /// After a restart, once the rules of every container that runs are in force again.
    fn tell_of_gap(&mut self) {
        if self.busy || !self.unheard.is_empty() {
            return;
        }
        let restarted = self.setting.restarted_after.take().map(|gap| gap + self.setting.started.elapsed());
        let inherited = self.setting.inherited.take();
        if let Some((severity, message)) = gap(restarted, inherited) {
            self.journal.system(severity, message);
        }
    }

    /// Nothing is left to be done: every container has the rules of these policies.
    fn tell_what_is_in_force(&self) {
        if !self.busy && self.unheard.is_empty() {
            let generation = self.policies.generation;
            self.setting
                .settled
                .send_if_modified(|settled| std::mem::replace(settled, generation) != generation);
        }
    }

    fn next_order(&mut self) -> Option<Order> {
        while let Some(cgroup) = self.work.held.pop_first() {
            self.work.changed.remove(&cgroup);
            if let Some(order) = self.settle(cgroup, true) {
                return Some(order);
            }
        }
        if let Some((_, scope)) = self.work.unknown.pop_first() {
            return Some(Order::Dismiss(scope));
        }
        if let Some(cgroup) = self.work.gone.pop_first() {
            return Some(Order::Release { cgroup });
        }
        if self.work.prepared == 0 && self.work.changed.len() > 1 {
            let first = self.work.changed.iter().take(PREPARED);
            let soon: Vec<_> = first.filter_map(|cgroup| self.settlement(*cgroup, false)).collect();
            self.work.prepared = PREPARED;
            return Some(Order::Prepare(soon));
        }
        while let Some(cgroup) = self.work.changed.pop_first() {
            self.work.prepared = self.work.prepared.saturating_sub(1);
            if let Some(order) = self.settle(cgroup, false) {
                return Some(order);
            }
        }
        self.work.prepared = 0;
        if !self.forgotten && self.unheard.is_empty() && self.unreachable.is_empty() {
            self.forgotten = true;
            return Some(Order::ForgetOthers {
                running: self.inventory.iter().map(|(cgroup, _)| cgroup).collect(),
            });
        }
        std::mem::take(&mut self.work.count_losses).then_some(Order::CountLosses)
    }

    fn settle(&self, cgroup: u64, force: bool) -> Option<Order> {
        self.settlement(cgroup, force).map(Order::Settle)
    }

    fn settlement(&self, cgroup: u64, force: bool) -> Option<Settle> {
        let known = self.inventory.get(cgroup)?;
        Some(Settle {
            scope: known.scope.clone(),
            source: self.sources.get(known.source).map(Arc::clone)?,
            container: Arc::clone(&known.container),
            quarantine: known.quarantine.clone(),
            policies: Arc::clone(&self.policies),
            force,
        })
    }

    fn answered(&mut self, answer: Answer) {
        self.busy = false;
        match answer {
            Answer::Settled { cgroup, result, in_force } => match result {
                Ok(rules) => {
                    let Some(known) = self.inventory.get_mut(cgroup) else { return };
                    tracing::debug!(
                        container = known.container.workload.container,
                        cgroup,
                        generation = rules.generation,
                        rules = rules.rules.len(),
                        "rules in force"
                    );
                    known.rules = Some(rules);
                    known.problem = None;
                    if let Some(event) = self.quarantining.remove(&cgroup) {
                        let policy = event.policy_name.clone().unwrap_or_default();
                        let message = format!(
                            "The container was cut off from the network because policy {policy} demands it."
                        );
                        self.journal.publish(follow_up(event, EventAction::Quarantined, message));
                    }
                }
                Err(error) => self.failed(cgroup, error, in_force),
            },
            Answer::Dismissed { cgroup, result } => {
                if let Err(error) = result {
                    tracing::error!(cgroup, %error, "a held start could not be let go");
                }
            }
            Answer::Prepared | Answer::Released | Answer::Forgotten => {}
            Answer::Losses(losses) => self.losses = self.journal.report_losses(&losses),
        }
    }

    /// `in_force` is what the container has instead.
    fn failed(&mut self, cgroup: u64, error: ApplyError, in_force: Option<Arc<RuleSet>>) {
        let Some(known) = self.inventory.get_mut(cgroup) else { return };
        let workload = &known.container.workload;
        let container = workload.container.as_str();
        if let ApplyError::Vanished = error {
            tracing::debug!(container, cgroup, "a container ended while it was set up");
        } else {
            tracing::error!(container, cgroup, %error, "rules could not be put in force");
            let before = known.problem.as_ref().map(|problem| problem.error.to_string());
            let now = error.to_string();
            if before.as_ref() != Some(&now) {
                let kept = match (&known.rules, &in_force) {
                    (Some(rules), _) => format!("those of generation {} stay in force", rules.generation),
                    (None, Some(_)) => String::from("those of its other policies are in force"),
                    (None, None) => String::from("the container runs without rules"),
                };
                let message =
                    format!("The rules of container {container} were not put in force, {kept}: {now}.");
                self.journal.system_about(workload, Severity::Critical, message);
            }
        }
        known.rules = in_force.or_else(|| known.rules.take());
        known.problem = Some(Problem::after(known.problem.as_ref(), error, Instant::now()));
    }

    fn change(&mut self, source: usize, change: Change) {
        if matches!(change, Change::Resync(_) | Change::Unreachable { .. }) {
            self.unheard.remove(&source);
        }
        match change {
            Change::Created(container) => {
                self.enter(source, container);
            }
            Change::Died(id) => self.leave(&(source, id)),
            Change::Resync(containers) => {
                if self.unreachable.remove(&source).is_some() {
                    tracing::info!(
                        runtime = self.runtime_name(source),
                        "the container runtime answers again"
                    );
                }
                let present: HashSet<Id> =
                    containers.iter().map(|container| (source, container.runtime_id.clone())).collect();
                let is_gone = |id: &Id| id.0 == source && !present.contains(id);
                let gone: Vec<_> = self.inventory.ids().filter(|id| is_gone(id)).cloned().collect();
                for id in gone {
                    self.leave(&id);
                }
                self.unprotected.retain(|id, _| !is_gone(id));
                if let [_] = self.sources.as_slice() {
                    self.keep_filters(|id| present.contains(&(source, id.clone())));
                }
                for container in containers {
                    self.enter(source, container);
                }
            }
            Change::Unreachable { reason } => {
                tracing::warn!(
                    runtime = self.runtime_name(source),
                    reason,
                    "a container runtime does not answer"
                );
                self.unreachable.insert(source, reason);
            }
        }
    }

    pub(super) fn runtime_name(&self, source: usize) -> &'static str {
        self.sources.get(source).map_or("unknown", |source| source.kind().name())
    }

    /// Takes the container into the inventory; its cgroup, if it can have rules.
    fn enter(&mut self, source: usize, container: Container) -> Option<u64> {
        let id = (source, container.runtime_id.clone());
        let scope = match scope(&self.hierarchy, container.init_pid) {
            Ok(scope) => scope,
            Err(error) if error.is_gone() => {
                tracing::debug!(container = id.1.id, %error, "a container ended before it was set up");
                return None;
            }
            Err(error) => {
                let reason = error.to_string();
                if self.unprotected.get(&id) != Some(&reason) {
                    let name = &container.workload.container;
                    let message = format!("Container {name} is not protected: {reason}.");
                    tracing::error!(container = name, reason, "a container is not protected");
                    self.journal.system_about(&container.workload, Severity::Critical, message);
                    self.unprotected.insert(id, reason);
                }
                return None;
            }
        };
        self.unprotected.remove(&id);
        let cgroup = scope.cgroup;
        if let Entered::Changed { gone } = self.inventory.enter(source, container, scope) {
            self.work.gone.extend(gone);
            self.work.gone.remove(&cgroup);
            self.work.changed.insert(cgroup);
        }
        if self.unresolved.remove(&cgroup) {
            self.work.held.insert(cgroup);
        }
        Some(cgroup)
    }

    fn leave(&mut self, id: &Id) {
        self.unprotected.remove(id);
        self.keep_filters(|other| *other != id.1);
        if let Some(cgroup) = self.inventory.leave(id) {
            self.work.held.remove(&cgroup);
            self.work.changed.remove(&cgroup);
            self.quarantining.remove(&cgroup);
            self.work.gone.insert(cgroup);
        }
    }

    fn keep_filters(&mut self, lives: impl Fn(&RuntimeId) -> bool) {
        if let Err(error) = self.filters.retain(lives) {
            tracing::warn!(%error, "filters of containers that have ended cannot be forgotten");
        }
    }

    /// A start waits: in a known container for its rules, else for a runtime to say whose it is.
    fn held(&mut self, held: Held) {
        if self.inventory.get(held.cgroup).is_some() {
            self.work.held.insert(held.cgroup);
            return;
        }
        if !self.unresolved.insert(held.cgroup) {
            return;
        }
        let sources = self.sources.clone();
        let hint = Hint { pid: held.pid, cgroup_path: self.hierarchy.path_of(held.pid).ok() };
        self.resolving
            .spawn(async move { (held, timeout(RESOLVE_DEADLINE, resolve(&sources, &hint)).await.ok()) });
    }

    /// Whatever became of it, nothing stays held.
    fn resolved(&mut self, held: Held, container: Option<(usize, Container)>) {
        let Held { cgroup, pid } = held;
        let is_known = container.is_some();
        let entered = container.and_then(|(source, container)| self.enter(source, container));
        let was_waiting = self.unresolved.remove(&cgroup);
        if self.inventory.get(cgroup).is_some() {
            self.work.held.insert(cgroup);
            return;
        }
        self.strangers.insert(cgroup, pid);
        self.work.unknown.insert(cgroup, ContainerScope { cgroup, cgroup_directory: None, init_pid: pid });
        // Its container may have come and gone meanwhile, and the start with it.
        if !was_waiting || !is_alive(pid) {
            tracing::debug!(cgroup, pid, "a held start ended before it was resolved");
            return;
        }
        let why = match entered {
            Some(_) => "it is not in its container's cgroup",
            None if is_known => "its container cannot have any",
            None => "no container runtime knows whose it is",
        };
        tracing::warn!(cgroup, pid, why, "a container start goes on without rules");
        let message = format!("A container start (process {pid}) went on without rules: {why}.");
        self.journal.system(Severity::High, message);
    }

    fn take_policies(&mut self, policies: Arc<Policies>) {
        self.policies = policies;
        self.work.prepared = 0;
        self.work.changed.extend(self.inventory.iter().map(|(cgroup, _)| cgroup));
    }

    fn cut_off(&mut self, quarantine: Quarantine, event: Event) {
        let cgroup = quarantine.cgroup;
        let Some(known) = self.inventory.get_mut(cgroup) else { return };
        if known.quarantine.is_none() {
            known.quarantine = Some(quarantine);
            self.quarantining.insert(cgroup, event);
            self.work.changed.insert(cgroup);
        }
    }

    fn look_again(&mut self) {
        let now = Instant::now();
        let due = self.inventory.iter().filter_map(|(cgroup, known)| {
            known.problem.as_ref()?.retry.is_some_and(|retry| retry <= now).then_some(cgroup)
        });
        self.work.changed.extend(due);
        let gone: Vec<_> =
            self.strangers.extract_if(|_, pid| !is_alive(*pid)).map(|(cgroup, _)| cgroup).collect();
        self.work.gone.extend(gone.into_iter().filter(|cgroup| self.inventory.get(*cgroup).is_none()));
        self.work.count_losses = true;
    }
}

fn is_alive(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Asks all runtimes until one knows the container. The caller sets the deadline.
async fn resolve(sources: &[Arc<dyn Source>], hint: &Hint) -> (usize, Container) {
    loop {
        for (index, source) in sources.iter().enumerate() {
            match source.resolve(hint).await {
                Ok(Some(container)) => return (index, container),
                Ok(None) => {}
                Err(error) => tracing::warn!(pid = hint.pid, %error, "a held start cannot be resolved"),
            }
        }
        sleep(ASK_AGAIN).await;
    }
}
/// What to say of the time without an agent, if there was one.
fn gap(restarted: Option<Duration>, inherited: Option<Inherited>) -> Option<(Severity, String)> {
    let after = restarted.map_or_else(String::new, |gap| format!(" after {} ms", gap.as_millis()));
    match inherited {
        Some(Inherited { containers, unheld: 0 }) => Some((
            Severity::Info,
            format!("The agent took over{after}; {containers} containers had kept their rules meanwhile."),
        )),
        Some(Inherited { containers, unheld }) => Some((
            Severity::High,
            format!(
                "The agent took over{after}; {containers} containers had kept their rules meanwhile, but {unheld} \
                 starts did not wait for theirs."
            ),
        )),
        None => restarted.map(|gap| {
            let gap = gap.as_millis();
            let message =
                format!("The agent was restarted; for {gap} ms nothing was enforced that needs it.");
            (Severity::High, message)
        }),
    }
}
