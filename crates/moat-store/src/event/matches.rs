//! Whether one event matches a filter, as a search would find it: for those who hear of events as they come.

use super::{EventFilter, StoredEvent, terms};

impl EventFilter {
    pub fn matches(&self, stored: &StoredEvent) -> bool {
        let event = &stored.event;
        let one_of = |allowed: &[String], value: Option<&String>| {
            allowed.is_empty() || value.is_some_and(|value| allowed.contains(value))
        };
        let fits = self.from.is_none_or(|from| event.timestamp >= from)
            && self.to.is_none_or(|to| event.timestamp < to)
            && (self.types.is_empty() || self.types.contains(&event.event_type))
            && (self.actions.is_empty() || self.actions.contains(&event.action))
            && self.severity.is_none_or(|least| event.severity >= least)
            && one_of(&self.namespaces, event.namespace.as_ref())
            && one_of(&self.pods, event.pod_name.as_ref())
            && one_of(&self.containers, event.container_name.as_ref())
            && one_of(&self.workloads, stored.workload.as_ref())
            && one_of(&self.policies, event.policy_name.as_ref())
            && one_of(&self.rules, event.rule.as_ref())
            && one_of(&self.nodes, Some(&event.node))
            && one_of(&self.enforcers, Some(&stored.enforcer_id));
        let phrases = terms::phrases(&self.text);
        fits && (phrases.is_empty() || {
            let words = terms::words(event, stored.workload.as_deref());
            phrases.iter().all(|phrase| words.contains(phrase.as_str()))
        })
    }
}
