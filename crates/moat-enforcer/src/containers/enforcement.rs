//! The thread that holds the driver: selects, compiles and puts in force, one container at a time.
//!
//! Drivers block, compiling takes its time, and the order of what is done to a container matters; so one
//! thread does it all. The manager gives it one order and waits for the answer before it gives the next, and
//! so decides anew what is most urgent each time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Instant;
use std::{io, thread};

use jiff::Timestamp;
use moat_event::{Direction, Loss};
use moat_kernel::{ApplyError, ContainerScope, Driver};
use moat_policy::model::{NetworkMatcher, RuleAction};
use moat_policy::rule_set::Matcher;
use moat_policy::{ActivePolicy, EffectiveRule, PolicySet, RuleSet};
use tokio::sync::mpsc;

use crate::events::Directory;
use crate::events::directory::Resident;
use crate::policies::{Generations, Loaded, Policies};
use crate::response::Quarantine;
use crate::runtime::{Container, Source};

/// What the thread can be told.
#[derive(Debug)]
pub enum Order {
    /// These will be settled next.
    Prepare(Vec<Settle>),
    Settle(Settle),
    /// Let what is held there go on; no container of that cgroup is known.
    Dismiss(ContainerScope),
    Release {
        cgroup: u64,
    },
    CountLosses,
    /// All containers that run have had their rules; what an agent before us left for others goes.
    ForgetOthers {
        running: HashSet<u64>,
    },
}

/// Put in force what the policies say for this container.
#[derive(Debug)]
pub struct Settle {
    pub scope: ContainerScope,
    pub source: Arc<dyn Source>,
    pub container: Arc<Container>,
    pub quarantine: Option<Quarantine>,
    pub policies: Arc<Policies>,
    /// Ask the driver although the same rules are in force, for a start is held.
    pub force: bool,
}

/// What became of an [`Order`].
#[derive(Debug)]
pub enum Answer {
    Prepared,
    Settled {
        cgroup: u64,
        /// The rules in force now, none of them where nothing selects the container.
        result: Result<Arc<RuleSet>, ApplyError>,
        /// What the container has now, complete or not.
        in_force: Option<Arc<RuleSet>>,
    },
    Dismissed {
        cgroup: u64,
        result: Result<(), ApplyError>,
    },
    Released,
    Forgotten,
    Losses(Vec<Loss>),
}

/// The manager's end of the thread.
#[derive(Debug)]
pub struct Enforcement {
    orders: SyncSender<Order>,
    pub answers: mpsc::Receiver<Answer>,
    thread: thread::JoinHandle<()>,
}

impl Enforcement {
    pub fn start(
        driver: Box<dyn Driver>,
        directory: Arc<Directory>,
        generations: Arc<Generations>,
    ) -> io::Result<Enforcement> {
        let (orders, receiver) = sync_channel(1);
        let (sender, answers) = mpsc::channel(1);
        let state = State { driver, directory, generations, policies: None, in_force: HashMap::new() };
        let thread = thread::Builder::new()
            .name(String::from("moat-enforce"))
            .spawn(move || state.run(&receiver, &sender))?;
        Ok(Enforcement { orders, answers, thread })
    }

    /// Gives the next order; false if the last one is not answered yet, or the thread has ended.
    pub fn give(&self, order: Order) -> bool {
        match self.orders.try_send(order) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Ends the thread and drops the driver, which takes down all that it put up.
    pub fn finish(self) {
        let Enforcement { orders, answers, thread } = self;
        drop((orders, answers));
        if thread.join().is_err() {
            tracing::error!("the enforcement thread ended with a panic");
        }
    }
}

struct State {
    driver: Box<dyn Driver>,
    directory: Arc<Directory>,
    generations: Arc<Generations>,
    /// The newest policies seen, compiled.
    policies: Option<PolicySet>,
    /// By cgroup; the last complete set of each container.
    in_force: HashMap<u64, Arc<RuleSet>>,
}

impl State {
    fn run(mut self, orders: &Receiver<Order>, answers: &mpsc::Sender<Answer>) {
        while let Ok(order) = orders.recv() {
            let answer = match order {
                Order::Prepare(soon) => {
                    self.prepare(&soon);
                    Answer::Prepared
                }
                Order::Settle(settle) => {
                    let cgroup = settle.scope.cgroup;
                    let result = self.settle(&settle);
                    Answer::Settled { cgroup, result, in_force: self.in_force.get(&cgroup).cloned() }
                }
                Order::Dismiss(scope) => {
                    Answer::Dismissed { cgroup: scope.cgroup, result: self.driver.dismiss(&scope) }
                }
                Order::Release { cgroup } => {
                    self.driver.release(cgroup);
                    self.in_force.remove(&cgroup);
                    self.directory.leave(cgroup, Instant::now());
                    Answer::Released
                }
                Order::ForgetOthers { running } => {
                    self.driver.forget_others(&running);
                    Answer::Forgotten
                }
                Order::CountLosses => Answer::Losses(self.driver.losses()),
            };
            if answers.blocking_send(answer).is_err() {
                break;
            }
        }
    }

    /// Tells the driver what it will be asked for, each set of rules once. What is wrong with it is found and told when
    /// it is settled.
    fn prepare(&mut self, soon: &[Settle]) {
        let mut seen = HashSet::new();
        let mut changes = Vec::with_capacity(soon.len());
        for order in soon {
            let Ok(rules) = self.rules(order) else { continue };
            let last = self.in_force.get(&order.scope.cgroup);
            if last.is_none_or(|last| last.hash != rules.hash) && seen.insert(rules.hash.clone()) {
                changes.push((order.scope.clone(), rules));
            }
        }
        self.driver.prepare(&changes);
    }

    fn settle(&mut self, order: &Settle) -> Result<Arc<RuleSet>, ApplyError> {
        let cgroup = order.scope.cgroup;
        let mut rules = self.rules(order)?;
        let resident =
            || Resident { container: Arc::clone(&order.container), source: Arc::clone(&order.source) };
        if let Some(last) = self.in_force.get(&cgroup) {
            if last.hash == rules.hash {
                rules = Arc::clone(last);
                if !order.force {
                    self.directory.enter(cgroup, resident(), None);
                    return Ok(rules);
                }
            } else if last.generation == rules.generation {
                // Records name rules by generation and index: no two sets of a container may share one.
                rules = Arc::new(RuleSet { generation: self.generations.next(), ..RuleSet::clone(&rules) });
            }
        }
        // What the first attempt was refused for; the container then gets what does fit.
        let mut refused = None;
        loop {
            self.directory.enter(cgroup, resident(), Some(&rules));
            match self.put(&order.scope, &rules) {
                Ok(()) => break,
                // A container that has rules keeps them. One that has none would run without any, or wait for ever.
                Err(ApplyError::DoesNotFit { policy, rule, what })
                    if !self.in_force.contains_key(&cgroup) =>
                {
                    let mut fewer = RuleSet { generation: self.generations.next(), ..RuleSet::clone(&rules) };
                    fewer.rules.retain(|rule| *rule.policy != *policy);
                    fewer.hash = format!("{} without {policy}", rules.hash);
                    if fewer.rules.len() == rules.rules.len() {
                        return Err(ApplyError::DoesNotFit { policy, rule, what });
                    }
                    rules = Arc::new(fewer);
                    refused.get_or_insert(ApplyError::DoesNotFit { policy, rule, what });
                }
                Err(error) => {
                    // It is tried again; meanwhile a new container runs without rules rather than wait stopped.
                    if !self.in_force.contains_key(&cgroup) {
                        let _ = self.driver.dismiss(&order.scope);
                    }
                    return Err(error);
                }
            }
        }
        self.in_force.insert(cgroup, Arc::clone(&rules));
        refused.map_or(Ok(rules), Err)
    }

    fn put(&mut self, scope: &ContainerScope, rules: &Arc<RuleSet>) -> Result<(), ApplyError> {
        if rules.rules.is_empty() { self.driver.dismiss(scope) } else { self.driver.apply(scope, rules) }
    }

    /// The rules that the policies make for the container now; containers with the same share them.
    fn rules(&mut self, order: &Settle) -> Result<Arc<RuleSet>, ApplyError> {
        let policies = match self.policies.take() {
            Some(policies) if policies.generation() == order.policies.generation => policies,
            _ => compile(&order.policies)?,
        };
        let policies = self.policies.insert(policies);
        let mut rules = policies.rule_set(&order.container.workload, Timestamp::now());
        // A pod's sandbox runs the runtime's own `pause`, no program of the workload: an allow-list that killed it would
        // keep the pod from starting.
        if order.container.sandbox {
            rules =
                Arc::new(RuleSet { generation: rules.generation, hash: String::new(), rules: Vec::new() });
        }
        Ok(match &order.quarantine {
            None => rules,
            Some(quarantine) => Arc::new(cut_off(&rules, quarantine)),
        })
    }
}

fn compile(policies: &Policies) -> Result<PolicySet, ApplyError> {
    let active = policies.runtime.iter().map(|Loaded { policy, first_seen, .. }| ActivePolicy {
        policy: Arc::clone(policy),
        first_seen: *first_seen,
    });
    PolicySet::new(active, policies.generation).map_err(|error| io::Error::other(error).into())
}

/// The rules, and two more that leave the container no network.
fn cut_off(rules: &RuleSet, quarantine: &Quarantine) -> RuleSet {
    let rule = |direction| EffectiveRule {
        policy: quarantine.policy.as_str().into(),
        rule: quarantine.rule.as_str().into(),
        severity: quarantine.severity,
        action: RuleAction::Block,
        enforced: true,
        matcher: Matcher::Network(Arc::new(NetworkMatcher {
            direction,
            cidrs: Vec::new(),
            ports: Vec::new(),
            protocols: Vec::new(),
            except: None,
        })),
    };
    let mut cut_off = rules.clone();
    cut_off.rules.extend([rule(Direction::Egress), rule(Direction::Ingress)]);
    cut_off.rules.sort_by(EffectiveRule::decision_order);
    cut_off.hash = format!("{} cut off by {} {}", rules.hash, quarantine.policy, quarantine.rule);
    cut_off
}

#[cfg(test)]
mod tests;
