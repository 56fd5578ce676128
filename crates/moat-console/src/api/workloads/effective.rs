//! The rules that hold for a workload, by the same code that enforcers use.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use moat_policy::model::Mode;
use moat_policy::{ActivePolicy, PolicySet};
use moat_store::{Container, NodePolicy, PolicyState, Store, StoreError};

use super::{EffectiveRule, Holding, NotSelected};
use crate::api::policies::{PolicySource, active, definition};

#[derive(Debug, Default)]
pub struct Effective {
    pub rules: Vec<EffectiveRule>,
    pub not_selected: Vec<NotSelected>,
    /// The node whose rules these are.
    pub node: String,
    /// Further nodes of the workload whose own folders say something else.
    pub other_nodes: Vec<String>,
}

/// A policy that is in force on the node.
struct InForce {
    source: PolicySource,
    document: String,
    active: ActivePolicy,
}

impl Effective {
    /// For a workload by its containers: for the first of them, on its node.
    pub async fn read(store: &Store, containers: &[Container]) -> Result<Effective, StoreError> {
        let Some(first) = containers.first() else { return Ok(Effective::default()) };
        let nodes: BTreeMap<&str, &str> =
            containers.iter().map(|one| (one.enforcer_id.as_str(), one.workload.node.as_str())).collect();
        let mut folders = BTreeMap::new();
        for enforcer in nodes.keys() {
            folders.insert(*enforcer, store.node_policies_of(enforcer).await?);
        }
        let own = folders.get(first.enforcer_id.as_str()).map_or(&[][..], Vec::as_slice);
        let others = folders.iter().filter(|(_, folder)| documents(folder) != documents(own));
        let other_nodes =
            others.filter_map(|(enforcer, _)| nodes.get(enforcer)).map(|node| (*node).to_owned());

        let mut policies = Vec::new();
        let mut not_selected = Vec::new();
        for policy in own.iter().filter(|policy| policy.kind == "RuntimePolicy") {
            let (source, document) = (PolicySource::Node, policy.document.clone());
            let Some(active) = active(&document, policy.first_seen) else { continue };
            policies.push(InForce { source, document, active });
        }
        for policy in store.policies().await? {
            let Some(active) = active(&policy.document, policy.created_at) else { continue };
            let same = |other: &InForce| other.active.policy.metadata.name == policy.name;
            if policies.iter().any(same) {
                let why = String::from("the node's own folder has a policy of that name, which comes first");
                not_selected.push(NotSelected { policy: policy.name, source: PolicySource::Console, why });
            } else {
                policies.push(InForce { source: PolicySource::Console, document: policy.document, active });
            }
        }

        // Each is valid and differs from the others in its name: a set of them can be made.
        let mut set = PolicySet::new(policies.iter().map(|policy| policy.active.clone()), 0)
            .map_err(|error| StoreError::Invalid(error.to_string()))?;
        let workload = &first.workload;
        let rules = set.rule_set(workload, Timestamp::now());
        let holdings = Holdings::read(store, &nodes, &folders).await?;
        let named = |name: &str| policies.iter().find(|policy| policy.active.policy.metadata.name == name);
        let rules = rules.rules.iter().filter_map(|rule| {
            let policy = named(&rule.policy)?;
            Some(EffectiveRule {
                policy: rule.policy.to_string(),
                source: policy.source,
                rule: rule.rule.to_string(),
                severity: rule.severity,
                action: rule.action,
                mode: if rule.enforced { Mode::Enforce } else { Mode::Audit },
                definition: definition(&policy.document, &rule.rule)
                    .map_or(serde_json::Value::Null, |(_, definition)| definition),
                holdings: holdings.of(policy.source, &rule.policy),
            })
        });
        let rules = rules.collect();
        not_selected.extend(set.selection(workload).filter_map(|(name, selected)| {
            let (policy, why) = (named(name)?, selected.err()?.to_string());
            Some(NotSelected { policy: name.to_owned(), source: policy.source, why })
        }));
        Ok(Effective { rules, not_selected, node: workload.node.clone(), other_nodes: other_nodes.collect() })
    }
}

/// What a folder says, wherever its files are.
fn documents(folder: &[NodePolicy]) -> BTreeSet<(&str, &str, &str)> {
    folder.iter().map(|policy| (&*policy.kind, &*policy.name, &*policy.document)).collect()
}

/// Where policies are held otherwise than written, by policy.
struct Holdings(BTreeMap<(PolicySource, String), Vec<Holding>>);

impl Holdings {
    async fn read(
        store: &Store,
        nodes: &BTreeMap<&str, &str>,
        folders: &BTreeMap<&str, Vec<NodePolicy>>,
    ) -> Result<Holdings, StoreError> {
        let mut holdings: BTreeMap<_, Vec<Holding>> = BTreeMap::new();
        let mut add = |source, policy: String, enforcer: &str, state: PolicyState, reasons| {
            if let (Some(node), true) = (nodes.get(enforcer), state != PolicyState::Enforced) {
                let holding = Holding { node: (*node).to_owned(), state: state.into(), reasons };
                holdings.entry((source, policy)).or_default().push(holding);
            }
        };
        for status in store.policy_statuses(None, None).await? {
            add(PolicySource::Console, status.policy, &status.enforcer_id, status.state, status.reasons);
        }
        for policy in folders.values().flatten() {
            let NodePolicy { enforcer_id, name, state, reasons, .. } = policy.clone();
            add(PolicySource::Node, name, &enforcer_id, state, reasons);
        }
        Ok(Holdings(holdings))
    }

    fn of(&self, source: PolicySource, policy: &str) -> Vec<Holding> {
        self.0.get(&(source, policy.to_owned())).cloned().unwrap_or_default()
    }
}
