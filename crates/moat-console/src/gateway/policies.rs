//! A policy set as messages, made once for all enforcers that need the same.

use std::collections::HashMap;
use std::sync::Arc;

use moat_store::{PolicyChanges, Result, Store};
use moat_wire::gateway::CONTENT;
use moat_wire::gateway::proto::{Policy, PolicySet};
use tokio::sync::Mutex;

/// Messages that lead from one version to another.
#[derive(Debug)]
pub struct Messages {
    pub set: i64,
    pub parts: Vec<PolicySet>,
}

/// What leads to the newest version, by the version that it begins at.
#[derive(Debug, Default)]
pub struct Cache(Mutex<(i64, HashMap<i64, Arc<Messages>>)>);

impl Cache {
    /// What an enforcer that holds version `held` needs when `newest` is the newest known.
    pub async fn changes(&self, store: &Store, held: i64, newest: i64) -> Result<Arc<Messages>> {
        // Who holds what this console never had gets everything: the store may be an older one, restored.
        let base = if held > newest { 0 } else { held };
        // Held while the store answers: whoever else needs the same waits and then has it.
        let mut cache = self.0.lock().await;
        let (set, made) = &mut *cache;
        if *set != newest {
            *set = newest;
            made.clear();
        }
        if let Some(messages) = made.get(&base) {
            return Ok(Arc::clone(messages));
        }
        let messages = Arc::new(messages(base, store.policy_changes(base).await?));
        if messages.set == newest {
            made.insert(base, Arc::clone(&messages));
        }
        Ok(messages)
    }
}

fn messages(base: i64, changes: PolicyChanges) -> Messages {
    let set = changes.set;
    let (mut parts, mut size) = (Vec::new(), 0);
    let removed = if base == 0 { Vec::new() } else { changes.removed };
    let mut part = PolicySet { set, base, removed, ..PolicySet::default() };
    for policy in changes.upserts {
        if size + policy.document.len() > CONTENT && !part.upserts.is_empty() {
            part.more = true;
            parts.push(std::mem::replace(&mut part, PolicySet { set, base, ..PolicySet::default() }));
            size = 0;
        }
        size += policy.document.len();
        part.upserts.push(Policy {
            first_seen_us: policy.created_at.as_microsecond(),
            name: policy.name,
            revision: policy.revision,
            kind: policy.kind,
            document: policy.document,
        });
    }
    parts.push(part);
    Messages { set, parts }
}
