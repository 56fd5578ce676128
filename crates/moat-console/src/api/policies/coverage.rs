//! How far each policy has come on the nodes.

use std::collections::BTreeMap;

use moat_store::{EnforcerState, Policy as StoredPolicy, PolicyStatus, Store, StoreError};

use super::types::{Coverage, NodePolicyStatus, PolicyState};

/// What enforcers said of policies, and which enforcers count.
#[derive(Debug)]
pub struct Coverages {
    /// Node by the enforcer's id.
    nodes: BTreeMap<String, String>,
    statuses: BTreeMap<String, Vec<PolicyStatus>>,
}

impl Coverages {
    pub async fn read(store: &Store, policy: Option<&str>) -> Result<Coverages, StoreError> {
        let nodes: BTreeMap<_, _> = store
            .enforcers()
            .await?
            .into_iter()
            .filter(|enforcer| matches!(enforcer.state, EnforcerState::Connected | EnforcerState::Away))
            .map(|enforcer| (enforcer.id, enforcer.node))
            .collect();
        let mut statuses: BTreeMap<String, Vec<PolicyStatus>> = BTreeMap::new();
        for status in store.policy_statuses(policy, None).await? {
            if nodes.contains_key(&status.enforcer_id) {
                statuses.entry(status.policy.clone()).or_default().push(status);
            }
        }
        Ok(Coverages { nodes, statuses })
    }

    pub fn of(&self, policy: &StoredPolicy) -> Coverage {
        let statuses = self.statuses.get(&policy.name).map_or(&[][..], Vec::as_slice);
        let mut coverage = Coverage {
            containers: statuses.iter().map(|status| status.containers).sum(),
            nodes: self.nodes.len() as i64,
            ..Coverage::default()
        };
        for status in statuses.iter().filter(|status| status.revision == policy.revision) {
            match status.state {
                moat_store::PolicyState::Enforced => coverage.enforced += 1,
                moat_store::PolicyState::Degraded => coverage.degraded += 1,
                moat_store::PolicyState::Refused => coverage.refused += 1,
                moat_store::PolicyState::Pending | moat_store::PolicyState::Accepted => {}
            }
        }
        coverage.pending = coverage.nodes - coverage.enforced - coverage.degraded - coverage.refused;
        coverage
    }

    /// One entry for each enforcer, by node.
    pub fn nodes(&self, policy: &StoredPolicy) -> Vec<NodePolicyStatus> {
        let statuses = self.statuses.get(&policy.name).map_or(&[][..], Vec::as_slice);
        let mut nodes: Vec<_> = self
            .nodes
            .iter()
            .map(|(id, node)| {
                let status = statuses.iter().find(|status| status.enforcer_id == *id);
                let current = status.filter(|status| status.revision == policy.revision);
                NodePolicyStatus {
                    enforcer_id: id.clone(),
                    node: node.clone(),
                    revision: status.map_or(0, |status| status.revision),
                    state: current.map_or(PolicyState::Pending, |status| status.state.into()),
                    reasons: current.map(|status| status.reasons.clone()).unwrap_or_default(),
                    containers: status.map_or(0, |status| status.containers),
                }
            })
            .collect();
        nodes.sort_by(|a, b| a.node.cmp(&b.node));
        nodes
    }
}
