//! What the manager answers about containers, policies and decisions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moat_event::Workload;
use moat_kernel::{ApplyError, Capabilities, Holding, Inherited};
use moat_policy::enforce_after::EnforceAfter;
use moat_policy::{ActivePolicy, PolicySet, RuleSet, RuntimePolicy};
use moat_wire::control::{
    ContainerStatus, Explain, NotSelected, PolicyStatus, RuleHolding, RuleStatus, Status,
};
use moat_wire::gateway::{ContainerReport, Protection};
use tokio::sync::{oneshot, watch};

use super::filters::Calls;
use super::inventory::Known;
use super::manager::Manager;
use crate::events::Journal;
use crate::policies::{Loaded, Policies, Refused};
use crate::runtime::RuntimeId;

/// A question, and where the answer goes.
#[derive(Debug)]
pub enum Query {
    Status(oneshot::Sender<Status>),
    Containers(oneshot::Sender<Vec<ContainerStatus>>),
    /// The containers as the console is told of them.
    Reports(oneshot::Sender<Vec<ContainerReport>>),
    Policies(Arc<Capabilities>, oneshot::Sender<Vec<PolicyStatus>>),
    /// What is needed to explain a decision, for every container that fits.
    Explain(Box<Explain>, oneshot::Sender<Vec<Explanations>>),
    /// The policies in force.
    InForce(oneshot::Sender<Arc<Policies>>),
    /// The container is made with a filter that refuses these calls.
    Filtered(RuntimeId, Calls, oneshot::Sender<io::Result<()>>),
}

/// A container to explain decisions of.
#[derive(Debug)]
pub struct Explanations {
    pub workload: Workload,
    pub init_pid: u32,
    pub rules: Arc<RuleSet>,
    pub selected: Vec<String>,
    pub not_selected: Vec<NotSelected>,
    /// What its filter refuses.
    pub filtered: Calls,
}

/// What does not change while the agent runs.
#[derive(Debug)]
pub struct Setting {
    pub started: Instant,
    /// How long the node was without an agent when this one started, if another ran before.
    pub restarted_after: Option<Duration>,
    /// What an agent before this one has left in force.
    pub inherited: Option<Inherited>,
    /// Name of the driver that holds the rules.
    pub driver: &'static str,
    /// The node's `/proc`.
    pub proc: PathBuf,
    pub journal: Arc<Journal>,
    /// The generation that is in force for every container, told when it is.
    pub settled: watch::Sender<u64>,
}

impl Manager {
    pub(super) fn answer(&mut self, query: Query) {
        // Who asked may have gone; that is no error.
        match query {
            Query::Status(to) => drop(to.send(self.status())),
            Query::Containers(to) => drop(to.send(self.containers())),
            Query::Reports(to) => drop(to.send(self.reports())),
            Query::Policies(capabilities, to) => drop(to.send(self.policy_statuses(&capabilities))),
            Query::Explain(explain, to) => drop(to.send(self.explanations(&explain))),
            Query::InForce(to) => drop(to.send(Arc::clone(&self.policies))),
            Query::Filtered(container, calls, to) => drop(to.send(self.filters.set(container, calls))),
        }
    }

    fn status(&self) -> Status {
        let mut problems: Vec<String> = Vec::new();
        problems.extend(
            self.unreachable
                .iter()
                .map(|(source, reason)| format!("{} does not answer: {reason}", self.runtime_name(*source))),
        );
        problems.extend(self.policies.refused.iter().map(|refused| refused.diagnostic.clone()));
        problems.extend(self.unprotected.iter().map(|(id, why)| format!("container {}: {why}", id.1.id)));
        problems.extend(self.inventory.iter().filter_map(|(_, known)| {
            let problem = known.problem.as_ref()?;
            Some(format!("container {}: {}", known.container.workload.container, problem.error))
        }));
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.setting.started.elapsed().as_secs(),
            driver: self.setting.driver.to_owned(),
            policies: self.policies.runtime.len() + self.policies.compliance.len(),
            containers: self.workloads().count() + self.unprotected.len(),
            enforced_containers: self
                .workloads()
                .filter(|known| {
                    known.rules.as_ref().is_some_and(|rules| rules.rules.iter().any(|rule| rule.enforced))
                })
                .count(),
            generation: self.policies.generation,
            events: self.setting.journal.published(),
            losses: self.losses.clone(),
            resident_bytes: resident_bytes(&self.setting.proc),
            problems,
        }
    }

    /// The containers without the pods' sandboxes, which only hold namespaces open and which nobody wants to protect.
    fn workloads(&self) -> impl Iterator<Item = &Known> {
        self.inventory.iter().map(|(_, known)| known).filter(|known| !known.container.sandbox)
    }

    fn containers(&self) -> Vec<ContainerStatus> {
        let mut policies = PolicyNames::default();
        self.inventory
            .iter()
            .map(|(cgroup, known)| ContainerStatus {
                workload: known.container.workload.clone(),
                cgroup,
                pid: known.container.init_pid,
                policies: policies.of(known).iter().map(ToString::to_string).collect(),
                rules: known.rules.as_ref().map_or(0, |rules| rules.rules.len()),
                filtered: self.filters.of(&known.container.runtime_id).into_iter().collect(),
                problem: match (&known.problem, &known.rules) {
                    (Some(problem), _) => problem.error.to_string(),
                    (None, None) => String::from("its rules are being put in force"),
                    (None, Some(_)) => String::new(),
                },
            })
            .collect()
    }

    fn reports(&self) -> Vec<ContainerReport> {
        let mut policies = PolicyNames::default();
        let reports = self.workloads().map(|known| {
            let rules = known.rules.as_ref().map_or(&[][..], |rules| &rules.rules);
            ContainerReport {
                workload: known.container.workload.clone(),
                policies: policies.of(known).iter().map(ToString::to_string).collect(),
                rules: rules.len(),
                problem: known.problem.as_ref().map_or_else(String::new, |problem| problem.error.to_string()),
                protection: match rules {
                    [] => Protection::Unprotected,
                    rules if rules.iter().any(|rule| rule.enforced) => Protection::Protected,
                    _ => Protection::Audit,
                },
            }
        });
        reports.collect()
    }

    fn policy_statuses(&self, capabilities: &Capabilities) -> Vec<PolicyStatus> {
        // How many containers a policy is in force in, and what the filters of all of them refuse.
        let mut containers = BTreeMap::<Arc<str>, (usize, Calls)>::new();
        let mut names = PolicyNames::default();
        for known in self.workloads() {
            let filtered = self.filters.of(&known.container.runtime_id);
            for policy in names.of(known) {
                let (count, by_all) =
                    containers.entry(Arc::clone(policy)).or_insert_with(|| (0, filtered.clone()));
                *count += 1;
                by_all.retain(|call| filtered.contains(call));
            }
        }
        let refused = |file: &PathBuf| {
            let of_file = |refused: &&Refused| refused.file == *file && refused.policy.is_none();
            self.policies.refused.iter().find(of_file).map(|refused| refused.diagnostic.clone())
        };
        let runtime = self.policies.runtime.iter().map(|Loaded { policy, file, first_seen }| {
            let active = ActivePolicy { policy: Arc::clone(policy), first_seen: *first_seen };
            let name = policy.metadata.name.as_str();
            let (containers, filtered) = containers.remove(name).unwrap_or_default();
            PolicyStatus {
                name: name.to_owned(),
                kind: policy.kind.clone(),
                file: file.display().to_string(),
                mode: mode(&active),
                labels: policy.metadata.labels.clone(),
                rules: rule_statuses(capabilities, &filtered, &active),
                containers,
                problems: self.problems_of(name),
                refused: refused(file),
                document: serde_saphyr::to_string(&**policy).unwrap_or_default(),
            }
        });
        let compliance = self.policies.compliance.iter().map(|Loaded { policy, file, .. }| PolicyStatus {
            name: policy.metadata.name.clone(),
            kind: policy.kind.clone(),
            file: file.display().to_string(),
            mode: String::from("not evaluated by this agent yet"),
            labels: policy.metadata.labels.clone(),
            rules: Vec::new(),
            containers: 0,
            problems: Vec::new(),
            refused: refused(file),
            document: serde_saphyr::to_string(&**policy).unwrap_or_default(),
        });
        runtime.chain(compliance).collect()
    }

    /// Where the policy does not fit.
    fn problems_of(&self, name: &str) -> Vec<String> {
        let of_container = |known: &Known| {
            let error = &known.problem.as_ref()?.error;
            let is_ours = matches!(error, ApplyError::DoesNotFit { policy, .. } if policy == name);
            is_ours.then(|| format!("container {}: {error}", known.container.workload.container))
        };
        self.inventory.iter().filter_map(|(_, known)| of_container(known)).collect()
    }

    fn explanations(&self, explain: &Explain) -> Vec<Explanations> {
        let fits = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        self.inventory
            .iter()
            .map(|(_, known)| known)
            .filter(|known| {
                let workload = &known.container.workload;
                fits(&explain.pod, &workload.pod) && fits(&explain.container, &workload.container)
            })
            // Without a container's name, a pod's sandbox is not what is meant.
            .filter(|known| explain.container.is_some() || !known.container.sandbox)
            .filter_map(|known| {
                let workload = known.container.workload.clone();
                let (mut selected, mut not_selected) = (Vec::new(), Vec::new());
                for Loaded { policy, .. } in &self.policies.runtime {
                    let policy_name = policy.metadata.name.clone();
                    match policy.spec.selects(&workload) {
                        Ok(Ok(())) => selected.push(policy_name),
                        Ok(Err(why)) => {
                            not_selected.push(NotSelected { policy: policy_name, why: why.to_string() });
                        }
                        Err(why) => {
                            not_selected.push(NotSelected { policy: policy_name, why: why.to_string() });
                        }
                    }
                }
                Some(Explanations {
                    workload,
                    init_pid: known.container.init_pid,
                    rules: Arc::clone(known.rules.as_ref()?),
                    selected,
                    not_selected,
                    filtered: self.filters.of(&known.container.runtime_id),
                })
            })
            .collect()
    }
}

/// Each rule of the policy, as the file has them, and how it is held.
fn rule_statuses(capabilities: &Capabilities, filtered: &Calls, active: &ActivePolicy) -> Vec<RuleStatus> {
    let policy = Arc::clone(&active.policy);
    let mut everywhere = RuntimePolicy::clone(&policy);
    everywhere.spec.namespace_selector = None;
    everywhere.spec.label_selector = None;
    everywhere.spec.workload_selector = None;
    let active = ActivePolicy { policy: Arc::new(everywhere), first_seen: active.first_seen };
    let Ok(mut set) = PolicySet::new([active], 0) else { return Vec::new() };
    let rules = set.rule_set(&Workload::default(), Timestamp::now());
    let holds = |rule| holding(&capabilities.holding_with(rule, filtered));
    let held: HashMap<&str, RuleHolding> =
        rules.rules.iter().map(|rule| (&*rule.rule, holds(rule))).collect();
    policy
        .spec
        .rules
        .iter()
        .map(|rule| RuleStatus {
            name: rule.name.clone(),
            action: format!("{:?}", rule.action),
            severity: rule.severity,
            holding: held.get(rule.name.as_str()).cloned().unwrap_or_else(|| {
                holding(&Holding::NotHeld { reason: String::from("the rule cannot be compiled") })
            }),
        })
        .collect()
}

/// `Enforce`, `Audit`, or until when a policy is only audited.
fn mode(active: &ActivePolicy) -> String {
    let spec = &active.policy.spec;
    let after = spec.enforce_after.as_ref().and_then(|after| {
        let after: EnforceAfter = after.parse().ok()?;
        Some(after.instant(active.first_seen))
    });
    match after {
        Some(from) if from > Timestamp::now() => format!("Audit until {from}"),
        _ => format!("{:?}", spec.mode),
    }
}

/// How a rule is held, as the control socket says it.
pub fn holding(holding: &Holding) -> RuleHolding {
    let (state, driver, reason) = match holding {
        Holding::Held { driver, detail } => ("Held", driver.as_str(), detail.as_str()),
        Holding::Degraded { driver, reason } => ("Degraded", driver.as_str(), reason.as_str()),
        Holding::NotHeld { reason } => ("NotHeld", "", reason.as_str()),
    };
    RuleHolding { state: state.to_owned(), driver: driver.to_owned(), reason: reason.to_owned() }
}

/// The policies that rule sets were made from; containers share rule sets, so each is looked at once.
#[derive(Debug, Default)]
struct PolicyNames(HashMap<*const RuleSet, Vec<Arc<str>>>);

impl PolicyNames {
    fn of(&mut self, known: &Known) -> &[Arc<str>] {
        let Some(rules) = &known.rules else { return &[] };
        self.0.entry(Arc::as_ptr(rules)).or_insert_with(|| {
            let names: BTreeSet<_> = rules.rules.iter().map(|rule| Arc::clone(&rule.policy)).collect();
            names.into_iter().collect()
        })
    }
}

/// The agent's resident memory (`VmRSS` in `/proc/self/status`); 0 where it cannot be read.
fn resident_bytes(proc: &std::path::Path) -> u64 {
    let status = fs::read_to_string(proc.join("self/status")).unwrap_or_default();
    let kilobytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
