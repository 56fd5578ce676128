//! The rules that hold for a workload, by the same code that enforcers use.

use std::collections::BTreeMap;

use jiff::Timestamp;
use moat_event::Workload as Identity;
use moat_policy::PolicySet;
use moat_policy::model::Mode;
use moat_store::{PolicyState, Store, StoreError};

use super::{EffectiveRule, Holding, NotSelected};
use crate::api::policies::{active, definition};

#[derive(Debug, Default)]
pub struct Effective {
    pub rules: Vec<EffectiveRule>,
    pub not_selected: Vec<NotSelected>,
}

impl Effective {
    /// For a workload whose containers run on these nodes.
    pub async fn read(store: &Store, workload: &Identity, nodes: &[String]) -> Result<Effective, StoreError> {
        let policies = store.policies().await?;
        let active: Vec<_> = policies.iter().filter_map(active).collect();
        // Policies in the store are valid and differ in their names: a set of them can be made.
        let mut set = PolicySet::new(active, 0).map_err(|error| StoreError::Invalid(error.to_string()))?;
        let rules = set.rule_set(workload, Timestamp::now());
        let holdings = holdings(store, nodes).await?;
        let rules = rules.rules.iter().map(|rule| {
            let policy = policies.iter().find(|policy| policy.name == *rule.policy);
            EffectiveRule {
                policy: rule.policy.to_string(),
                rule: rule.rule.to_string(),
                severity: rule.severity,
                action: rule.action,
                mode: if rule.enforced { Mode::Enforce } else { Mode::Audit },
                definition: policy
                    .and_then(|policy| definition(policy, &rule.rule))
                    .map_or(serde_json::Value::Null, |(_, definition)| definition),
                holdings: holdings.get(&*rule.policy).cloned().unwrap_or_default(),
            }
        });
        let not_selected = set.selection(workload).filter_map(|(policy, selected)| {
            Some(NotSelected { policy: policy.to_owned(), why: selected.err()?.to_string() })
        });
        Ok(Effective { rules: rules.collect(), not_selected: not_selected.collect() })
    }
}

/// Where policies are held otherwise than written, by policy.
async fn holdings(store: &Store, nodes: &[String]) -> Result<BTreeMap<String, Vec<Holding>>, StoreError> {
    let enforcers: BTreeMap<_, _> =
        store.enforcers().await?.into_iter().map(|enforcer| (enforcer.id, enforcer.node)).collect();
    let mut holdings: BTreeMap<String, Vec<Holding>> = BTreeMap::new();
    for status in store.policy_statuses(None, None).await? {
        let Some(node) = enforcers.get(&status.enforcer_id).filter(|node| nodes.contains(node)) else {
            continue;
        };
        if status.state != PolicyState::Enforced {
            holdings.entry(status.policy).or_default().push(Holding {
                node: node.clone(),
                state: status.state.into(),
                reasons: status.reasons,
            });
        }
    }
    Ok(holdings)
}
