//! The policies of the nodes' own folders: shown, never changed from here.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use moat_policy::model::{Mode, RuleAction};
use moat_store::{NodePolicyGroup, Store, StoreError};
use schemars::JsonSchema;
use serde::Serialize;

use super::extract::Segments;
use super::page::Page;
use super::policies::{Coverage, Parsed, PolicyState, parse};
use super::problem::Problem;
use super::route::{Route, get};
use crate::Console;
use crate::access::{Access, Action, Resource};

const READ: Access = Access::To(Resource::Policies, Action::Read);

pub fn routes() -> Vec<Route> {
    vec![
        get("/node-policies", READ, "listNodePolicies", "Policies of the nodes' own folders", list),
        get(
            "/node-policies/{kind}/{name}",
            READ,
            "getNodePolicy",
            "What the nodes' own folders say under one name, and where",
            show,
        ),
    ]
}

/// A policy that some nodes have in their own folder.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePolicySummary {
    pub name: String,
    pub kind: String,
    /// Of a `RuntimePolicy`; of what most nodes have, as the fields that follow.
    pub mode: Option<Mode>,
    pub enforce_after: Option<String>,
    pub rules: usize,
    pub actions: Vec<RuleAction>,
    /// Different documents of that name; 1 where all nodes agree.
    pub versions: usize,
    /// Of the nodes that have it.
    pub coverage: Coverage,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePolicyDetail {
    pub name: String,
    pub kind: String,
    /// What most nodes have comes first.
    pub versions: Vec<NodePolicyVersion>,
}

/// Nodes that agree on a policy.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePolicyVersion {
    /// YAML as the enforcers understood it, without the comments of their files; empty where it is too large to be
    /// told.
    pub document: String,
    pub mode: Option<Mode>,
    pub enforce_after: Option<String>,
    pub rules: usize,
    pub actions: Vec<RuleAction>,
    pub nodes: Vec<NodePolicyPlace>,
}

/// A node that has the policy.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodePolicyPlace {
    pub enforcer_id: String,
    pub node: String,
    /// Where it stands on the node.
    pub file: String,
    pub state: PolicyState,
    pub reasons: Vec<String>,
    pub containers: i64,
    /// When the node first had a policy of that name.
    pub first_seen: Timestamp,
}

/// All of them, by name.
pub async fn summaries(store: &Store) -> Result<Vec<NodePolicySummary>, StoreError> {
    let mut policies: BTreeMap<(String, String), Vec<NodePolicyGroup>> = BTreeMap::new();
    for group in store.node_policy_groups().await? {
        policies.entry((group.name.clone(), group.kind.clone())).or_default().push(group);
    }
    Ok(policies.into_iter().map(|((name, kind), groups)| summary(name, kind, &groups)).collect())
}

fn summary(name: String, kind: String, groups: &[NodePolicyGroup]) -> NodePolicySummary {
    let mut versions: BTreeMap<&str, i64> = BTreeMap::new();
    let mut coverage = Coverage::default();
    for group in groups {
        *versions.entry(&group.document).or_default() += group.nodes;
        coverage.containers += group.containers;
        coverage.nodes += group.nodes;
        match group.state {
            moat_store::PolicyState::Enforced => coverage.enforced += group.nodes,
            moat_store::PolicyState::Degraded => coverage.degraded += group.nodes,
            moat_store::PolicyState::Refused => coverage.refused += group.nodes,
            moat_store::PolicyState::Pending | moat_store::PolicyState::Accepted => {
                coverage.pending += group.nodes;
            }
        }
    }
    let most = versions.iter().max_by_key(|(_, nodes)| **nodes);
    let parsed = most.and_then(|(document, _)| parse(document).ok());
    let parsed = parsed.as_ref();
    NodePolicySummary {
        name,
        kind,
        mode: parsed.and_then(Parsed::mode),
        enforce_after: parsed.and_then(Parsed::enforce_after),
        rules: parsed.map_or(0, |parsed| parsed.rules().len()),
        actions: parsed.map(Parsed::actions).unwrap_or_default(),
        versions: versions.len(),
        coverage,
    }
}

async fn list(State(console): State<Console>) -> Result<Json<Page<NodePolicySummary>>, Problem> {
    Ok(Json(Page::whole(summaries(console.store()).await?)))
}

async fn show(
    State(console): State<Console>,
    Segments((kind, name)): Segments<(String, String)>,
) -> Result<Json<NodePolicyDetail>, Problem> {
    let store = console.store();
    let names: BTreeMap<_, _> =
        store.enforcers().await?.into_iter().map(|enforcer| (enforcer.id, enforcer.node)).collect();
    let mut places: BTreeMap<String, Vec<NodePolicyPlace>> = BTreeMap::new();
    for policy in store.node_policies_named(&kind, &name).await? {
        places.entry(policy.document).or_default().push(NodePolicyPlace {
            node: names.get(&policy.enforcer_id).cloned().unwrap_or_default(),
            enforcer_id: policy.enforcer_id,
            file: policy.file,
            state: policy.state.into(),
            reasons: policy.reasons,
            containers: policy.containers,
            first_seen: policy.first_seen,
        });
    }
    if places.is_empty() {
        let why = format!("no node that is connected or away has a {kind} `{name}` in its own folder");
        return Err(Problem::not_found(why));
    }
    let mut versions: Vec<_> = places
        .into_iter()
        .map(|(document, mut nodes)| {
            nodes.sort_by(|a, b| a.node.cmp(&b.node));
            let parsed = parse(&document).ok();
            let parsed = parsed.as_ref();
            NodePolicyVersion {
                mode: parsed.and_then(Parsed::mode),
                enforce_after: parsed.and_then(Parsed::enforce_after),
                rules: parsed.map_or(0, |parsed| parsed.rules().len()),
                actions: parsed.map(Parsed::actions).unwrap_or_default(),
                document,
                nodes,
            }
        })
        .collect();
    versions.sort_by_key(|version| std::cmp::Reverse(version.nodes.len()));
    Ok(Json(NodePolicyDetail { name, kind, versions }))
}
