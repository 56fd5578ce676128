//! What-if: what a policy would have denied of what was recorded.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use moat_event::{Direction, EventAction, EventType, Protocol, Workload};
use moat_policy::simulate::{Recorded, Simulation, Simulator};
use moat_policy::{ActivePolicy, Attempt, Document, RuntimePolicy};
use moat_store::{
    Activity, ContainerFilter, Cursor, EventFilter, NodePolicy, PolicyState, Store, StoredEvent,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{self, active};
use crate::Console;
use crate::api::extract::{Body, Segments};
use crate::api::problem::Problem;

/// Events that are read, newest first.
const MAX_EVENTS: usize = 200_000;
const PAGE: usize = 1000;
const MAX_ACTIVITIES: usize = 100_000;
const MAX_HOURS: u32 = 24 * 366;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WhatIf {
    /// The candidate, YAML. It takes the place of the policy of its name, and is taken for enforced.
    pub document: String,
    /// How far to look back.
    pub hours: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WhatIfAnswer {
    #[serde(flatten)]
    pub simulation: Simulation,
    /// Recorded events that were read; one can stand for several acts.
    pub events: usize,
    pub since: Timestamp,
    /// Set where there were more events than are read: everything from here on was.
    pub searched_to: Option<Timestamp>,
}

pub async fn new(
    State(console): State<Console>,
    Body(asked): Body<WhatIf>,
) -> Result<Json<WhatIfAnswer>, Problem> {
    let candidate = candidate(&asked.document)?;
    run(console.store(), candidate, asked.hours).await.map(Json)
}

pub async fn changed(
    State(console): State<Console>,
    Segments(name): Segments<String>,
    Body(asked): Body<WhatIf>,
) -> Result<Json<WhatIfAnswer>, Problem> {
    let candidate = candidate(&asked.document)?;
    if candidate.metadata.name != name {
        return Err(Problem::bad_request(format!(
            "the document is named `{}`, the policy `{name}`: ask under its own name, or without one at /policies/simulate",
            candidate.metadata.name
        )));
    }
    run(console.store(), candidate, asked.hours).await.map(Json)
}

fn candidate(document: &str) -> Result<RuntimePolicy, Problem> {
    match document::parse(document).map_err(Problem::invalid_policy)?.into_document() {
        Document::Runtime(policy) => Ok(policy),
        Document::Compliance(_) => {
            Err(Problem::bad_request("a compliance policy denies nothing: simulate a RuntimePolicy"))
        }
    }
}

async fn run(store: &Store, candidate: RuntimePolicy, hours: u32) -> Result<WhatIfAnswer, Problem> {
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(Problem::bad_request(format!("`hours` is {hours}: ask for 1 to {MAX_HOURS}")));
    }
    let now = Timestamp::now();
    let since = now.checked_sub(SignedDuration::from_hours(i64::from(hours))).unwrap_or(Timestamp::MIN);
    let current = store
        .policies()
        .await?
        .iter()
        .filter_map(|policy| active(&policy.document, policy.created_at))
        .collect();
    let mut simulator = Simulator::new(current, candidate, now).map_err(|error| {
        Problem::bad_request(format!("the policies cannot be in force together: {error}"))
    })?;
    for Folder { nodes, policies } in folders(store).await? {
        simulator = simulator.with_own(nodes, &policies).map_err(|error| {
            Problem::bad_request(format!("the policies cannot be in force together: {error}"))
        })?;
    }
    let workloads = Workloads::read(store).await?;
    let mut told = Told::default();

    let filter = EventFilter {
        from: Some(since),
        types: vec![
            EventType::ProcessExec,
            EventType::FileAccess,
            EventType::NetworkConnection,
            EventType::Syscall,
            EventType::PrivilegedOperation,
            EventType::Drift,
        ],
        ..EventFilter::default()
    };
    let (mut events, mut cursor): (usize, Option<Cursor>) = (0, None);
    let searched_to = loop {
        let page = store.search_events(&filter, cursor, PAGE).await?;
        events += page.events.len();
        for stored in &page.events {
            if let Some(act) = workloads.recorded(stored) {
                told.add(stored.event.action, &act);
                simulator.record(act);
            }
        }
        match page.next {
            None => break None,
            Some(_) if events >= MAX_EVENTS => break page.searched_to,
            next => cursor = next,
        }
    };
    for activity in store.activities(None, since, MAX_ACTIVITIES).await? {
        if let Some(act) = workloads.observed(activity).and_then(|act| told.without(act)) {
            simulator.record(act);
        }
    }
    // Deciding a hundred thousand acts twice takes its time.
    let simulation = tokio::task::spawn_blocking(move || simulator.finish())
        .await
        .map_err(|_| Problem::internal())?
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(WhatIfAnswer { simulation, events, since, searched_to })
}

/// The policies of their own folders that are in force on some nodes.
struct Folder {
    nodes: Vec<String>,
    policies: Vec<ActivePolicy>,
}

/// Nodes that have the same are together.
async fn folders(store: &Store) -> Result<Vec<Folder>, Problem> {
    let mut by_node: BTreeMap<String, Vec<NodePolicy>> = BTreeMap::new();
    for (node, policy) in store.all_node_policies().await? {
        if policy.state != PolicyState::Refused {
            by_node.entry(node).or_default().push(policy);
        }
    }
    // By what they say and, where that counts, since when.
    let mut alike: HashMap<Vec<(String, Option<Timestamp>)>, Folder> = HashMap::new();
    for (node, policies) in by_node {
        let (mut said, mut in_force) = (Vec::new(), Vec::new());
        for NodePolicy { document, first_seen, .. } in policies {
            let Some(policy) = active(&document, first_seen) else { continue };
            said.push((document, policy.policy.spec.enforce_after.is_some().then_some(first_seen)));
            in_force.push(policy);
        }
        let folder = alike.entry(said).or_insert(Folder { nodes: Vec::new(), policies: in_force });
        folder.nodes.push(node);
    }
    Ok(alike.into_values().collect())
}

/// What events tell of acts that took place, by workload: what is observed are the same acts, and some more.
#[derive(Debug, Default)]
struct Told(HashMap<([String; 4], Act), u64>);

/// What events and observations say alike.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Act {
    Exec(String, Option<Vec<String>>),
    Connect(IpAddr, u16),
}

impl Act {
    fn of(attempt: &Attempt) -> Option<Act> {
        match attempt {
            Attempt::Exec { path, arguments, .. } => Some(Act::Exec(path.clone(), arguments.clone())),
            Attempt::Connect { direction: Direction::Egress, protocol: Protocol::Tcp, address, port } => {
                Some(Act::Connect(*address, *port))
            }
            _ => None,
        }
    }
}

impl Told {
    fn add(&mut self, action: EventAction, recorded: &Recorded) {
        // What was refused did not take place.
        if let Some(act) = Act::of(&recorded.attempt).filter(|_| action != EventAction::Blocked) {
            *self.0.entry((name(&recorded.workload), act)).or_default() += recorded.count;
        }
    }

    /// What was observed beyond what events tell, if anything was.
    fn without(&mut self, mut observed: Recorded) -> Option<Recorded> {
        let told =
            Act::of(&observed.attempt).and_then(|act| self.0.get_mut(&(name(&observed.workload), act)));
        if let Some(told) = told {
            let both = observed.count.min(*told);
            (observed.count, *told) = (observed.count - both, *told - both);
        }
        (observed.count > 0).then_some(observed)
    }
}

/// Who the containers of recorded acts are.
struct Workloads {
    by_container: HashMap<String, Arc<Workload>>,
    /// Of each workload's container one, by namespace, kind, name and container.
    by_name: HashMap<[String; 4], Arc<Workload>>,
}

impl Workloads {
    async fn read(store: &Store) -> Result<Workloads, Problem> {
        let containers =
            store.containers(&ContainerFilter { ended: true, ..ContainerFilter::default() }).await?;
        let mut workloads = Workloads { by_container: HashMap::new(), by_name: HashMap::new() };
        for container in containers {
            let workload = Arc::new(container.workload);
            workloads.by_name.insert(name(&workload), Arc::clone(&workload));
            workloads.by_container.insert(container.container_id, workload);
        }
        Ok(workloads)
    }

    fn recorded(&self, stored: &StoredEvent) -> Option<Recorded> {
        let event = &stored.event;
        let attempt = Attempt::of(event)?;
        let known = event.container_id.as_ref().and_then(|id| self.by_container.get(id));
        Some(Recorded {
            workload: known.map_or_else(|| Arc::new(told(stored)), Arc::clone),
            attempt,
            count: event.count,
            at: event.timestamp,
            event: Some(event.id.clone()),
        })
    }

    /// An act of the inventory; `None` where it does not say enough to be judged.
    fn observed(&self, activity: Activity) -> Option<Recorded> {
        let attempt: Attempt = serde_json::from_value(activity.detail).ok()?;
        let key = [activity.namespace, activity.workload_kind, activity.workload_name, activity.container];
        let workload = self.by_name.get(&key).cloned().unwrap_or_else(|| {
            let [namespace, kind, name, container] = key;
            let container_id = format!("{namespace}/{kind}/{name}/{container}");
            Arc::new(Workload { namespace, kind, name, container, container_id, ..Workload::default() })
        });
        let count = u64::try_from(activity.count).unwrap_or_default();
        Some(Recorded { workload, attempt, count, at: activity.last_seen, event: None })
    }
}

fn name(workload: &Workload) -> [String; 4] {
    [&workload.namespace, &workload.kind, &workload.name, &workload.container].map(Clone::clone)
}

/// The workload as far as its event tells of it.
fn told(stored: &StoredEvent) -> Workload {
    let event = &stored.event;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let mut named = stored.workload.as_deref().unwrap_or_default().splitn(3, '/').skip(1).map(str::to_owned);
    let (kind, name) = (named.next(), named.next());
    Workload {
        namespace: text(&event.namespace),
        pod: text(&event.pod_name),
        labels: event.labels.clone(),
        container: text(&event.container_name),
        container_id: text(&event.container_id),
        image: text(&event.image),
        image_digest: text(&event.image_digest),
        node: event.node.clone(),
        kind: kind.unwrap_or_else(|| "Container".to_owned()),
        name: name.unwrap_or_else(|| text(&event.container_name)),
        ..Workload::default()
    }
}

#[cfg(test)]
mod tests;
