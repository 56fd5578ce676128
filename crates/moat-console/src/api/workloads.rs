//! Workloads.

mod effective;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use moat_event::{Severity, Workload as Identity};
use moat_policy::model::{Mode, RuleAction};
use moat_store::{ContainerFilter, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::extract::{Query, Segments};
use super::page::Page;
use super::problem::Problem;
use super::route::{Route, get};
use crate::Console;
use crate::access::{Access, Action, Resource};

const READ: Access = Access::To(Resource::Workloads, Action::Read);
const MAX_PAGE: usize = 1000;
/// How far back a workload's activity goes, and how much of it is shown.
const ACTIVITY_DAYS: i64 = 30;
const MAX_ACTIVITY: usize = 2000;

pub fn routes() -> Vec<Route> {
    vec![
        get("/workloads", READ, "listWorkloads", "Workloads by namespace, with how they are protected", list),
        get(
            "/workloads/{namespace}/{kind}/{name}",
            READ,
            "getWorkload",
            "One workload: containers, effective rules, activity",
            show,
        ),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Protection {
    /// Rules are in force.
    Protected,
    /// Rules only report.
    Audit,
    /// No policy selects it, or its rules are not in force.
    Unprotected,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSummary {
    pub namespace: String,
    pub kind: String,
    pub name: String,
    /// The weakest of its containers.
    pub protection: Protection,
    pub containers: usize,
    pub protected: usize,
    pub audit: usize,
    pub unprotected: usize,
    pub images: Vec<String>,
    pub nodes: Vec<String>,
    pub policies: Vec<String>,
    /// Why rules are not in force, of any of its containers.
    pub problems: Vec<String>,
    pub seen_at: Timestamp,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WorkloadQuery {
    pub namespace: Option<String>,
    pub protection: Option<Protection>,
    /// Selected by this policy.
    pub policy: Option<String>,
    /// Occurs in its name, its namespace or an image.
    pub text: Option<String>,
    pub limit: Option<usize>,
    pub cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadDetail {
    pub workload: WorkloadSummary,
    pub containers: Vec<Container>,
    /// In the order in which they decide, strongest first.
    pub rules: Vec<EffectiveRule>,
    /// Policies that are not for this workload, each with the selector that failed.
    pub not_selected: Vec<NotSelected>,
    /// The node whose rules these are: policies of the nodes' own folders may differ.
    pub rules_node: String,
    /// Further nodes of the workload whose own folders say something else.
    pub other_nodes: Vec<String>,
    /// What its containers ran, opened and connected to; newest first.
    pub activity: Vec<Activity>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub enforcer_id: String,
    pub container_id: String,
    pub workload: Identity,
    pub policies: Vec<String>,
    pub rules: i64,
    /// Empty when the container's rules are in force; else why they are not.
    pub problem: String,
    pub protection: Protection,
    pub started_at: Option<Timestamp>,
    pub seen_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// A rule that holds for a workload.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveRule {
    pub policy: String,
    pub source: super::policies::PolicySource,
    pub rule: String,
    pub severity: Severity,
    pub action: RuleAction,
    /// `Audit` where it only reports.
    pub mode: Mode,
    /// The rule as it stands in the policy.
    pub definition: serde_json::Value,
    /// Where it is held otherwise than written, by node.
    pub holdings: Vec<Holding>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holding {
    pub node: String,
    pub state: super::policies::PolicyState,
    pub reasons: Vec<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotSelected {
    pub policy: String,
    pub source: super::policies::PolicySource,
    pub why: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    pub container: String,
    pub kind: ActivityKind,
    /// Path, or `address:port/protocol`.
    pub subject: String,
    pub detail: serde_json::Value,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub count: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ActivityKind {
    Executed,
    Opened,
    Connected,
}

impl From<moat_store::Protection> for Protection {
    fn from(protection: moat_store::Protection) -> Protection {
        match protection {
            moat_store::Protection::Protected => Protection::Protected,
            moat_store::Protection::Audit => Protection::Audit,
            moat_store::Protection::Unprotected => Protection::Unprotected,
        }
    }
}

impl From<moat_store::Container> for Container {
    fn from(container: moat_store::Container) -> Container {
        Container {
            enforcer_id: container.enforcer_id,
            container_id: container.container_id,
            workload: container.workload,
            policies: container.policies,
            rules: container.rules,
            problem: container.problem.unwrap_or_default(),
            protection: container.protection.into(),
            started_at: container.started_at,
            seen_at: container.seen_at,
            ended_at: container.ended_at,
        }
    }
}

impl From<moat_store::Activity> for Activity {
    fn from(activity: moat_store::Activity) -> Activity {
        Activity {
            container: activity.container,
            kind: match activity.kind {
                moat_store::ActivityKind::Executed => ActivityKind::Executed,
                moat_store::ActivityKind::Opened => ActivityKind::Opened,
                moat_store::ActivityKind::Connected => ActivityKind::Connected,
            },
            subject: activity.subject,
            detail: activity.detail,
            first_seen: activity.first_seen,
            last_seen: activity.last_seen,
            count: activity.count,
        }
    }
}

impl WorkloadSummary {
    fn new(containers: &[moat_store::Container]) -> Option<WorkloadSummary> {
        let first = &containers.first()?.workload;
        let count = |protection| containers.iter().filter(|one| one.protection == protection).count();
        let each = |of: &dyn Fn(&moat_store::Container) -> Vec<String>| {
            let mut all: Vec<_> = containers.iter().flat_map(of).filter(|text| !text.is_empty()).collect();
            all.sort();
            all.dedup();
            all
        };
        let (audit, unprotected) =
            (count(moat_store::Protection::Audit), count(moat_store::Protection::Unprotected));
        let protection = match (unprotected, audit) {
            (1.., _) => Protection::Unprotected,
            (0, 1..) => Protection::Audit,
            (0, 0) => Protection::Protected,
        };
        Some(WorkloadSummary {
            namespace: first.namespace.clone(),
            kind: first.kind.clone(),
            name: first.name.clone(),
            protection,
            containers: containers.len(),
            protected: count(moat_store::Protection::Protected),
            audit,
            unprotected,
            images: each(&|one| vec![one.workload.image.clone()]),
            nodes: each(&|one| vec![one.workload.node.clone()]),
            policies: each(&|one| one.policies.clone()),
            problems: each(&|one| one.problem.clone().into_iter().collect()),
            seen_at: containers.iter().map(|one| one.seen_at).max()?,
        })
    }

    /// The place in the list's order, which is also the cursor.
    fn key(&self) -> String {
        format!("{}/{}/{}", self.namespace, self.kind, self.name)
    }

    fn matches(&self, query: &WorkloadQuery) -> bool {
        let text = query.text.as_ref().map(|text| text.to_lowercase());
        let contains =
            |candidate: &String| text.as_ref().is_some_and(|text| candidate.to_lowercase().contains(text));
        query.protection.is_none_or(|protection| self.protection == protection)
            && query.policy.as_ref().is_none_or(|policy| self.policies.contains(policy))
            && (text.is_none()
                || contains(&self.name)
                || contains(&self.namespace)
                || self.images.iter().any(contains))
    }
}

/// Workloads with a running container, in the order of their names.
pub async fn running(store: &Store, namespace: Option<String>) -> Result<Vec<WorkloadSummary>, StoreError> {
    let containers = store.containers(&ContainerFilter { namespace, ..ContainerFilter::default() }).await?;
    let mut workloads: BTreeMap<String, Vec<moat_store::Container>> = BTreeMap::new();
    for container in containers {
        let workload = &container.workload;
        let key = format!("{}/{}/{}", workload.namespace, workload.kind, workload.name);
        workloads.entry(key).or_default().push(container);
    }
    Ok(workloads.values().filter_map(|containers| WorkloadSummary::new(containers)).collect())
}

async fn list(
    State(console): State<Console>,
    Query(query): Query<WorkloadQuery>,
) -> Result<Json<Page<WorkloadSummary>>, Problem> {
    let limit = query.limit.unwrap_or(200).clamp(1, MAX_PAGE);
    let workloads = running(console.store(), query.namespace.clone()).await?;
    let after = query.cursor.clone().unwrap_or_default();
    let mut items: Vec<_> = workloads
        .into_iter()
        .filter(|workload| workload.key() > after && workload.matches(&query))
        .take(limit + 1)
        .collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(WorkloadSummary::key);
    Ok(Json(Page { items, next }))
}

async fn show(
    State(console): State<Console>,
    Segments((namespace, kind, name)): Segments<(String, String, String)>,
) -> Result<Json<WorkloadDetail>, Problem> {
    let store = console.store();
    let filter = ContainerFilter {
        namespace: Some(namespace.clone()),
        kind: Some(kind.clone()),
        name: Some(name.clone()),
        ended: true,
        ..ContainerFilter::default()
    };
    let mut containers = store.containers(&filter).await?;
    // Running ones first, then the newest.
    containers.sort_by_key(|one| (one.ended_at.is_some(), std::cmp::Reverse(one.seen_at)));
    containers.truncate(MAX_PAGE);
    let running = containers.iter().take_while(|one| one.ended_at.is_none()).count();
    let counted = if running == 0 { &containers[..] } else { &containers[..running] };
    let workload = WorkloadSummary::new(counted).ok_or_else(|| {
        Problem::not_found(format!("no enforcer has seen a {kind} `{name}` in `{namespace}`"))
    })?;
    let effective = effective::Effective::read(store, counted).await?;
    let since = Timestamp::now() - SignedDuration::from_hours(24 * ACTIVITY_DAYS);
    let activity = store.activities(Some((&namespace, &kind, &name)), since, MAX_ACTIVITY).await?;
    Ok(Json(WorkloadDetail {
        workload,
        rules: effective.rules,
        not_selected: effective.not_selected,
        rules_node: effective.node,
        other_nodes: effective.other_nodes,
        containers: containers.into_iter().map(Container::from).collect(),
        activity: activity.into_iter().map(Activity::from).collect(),
    }))
}
