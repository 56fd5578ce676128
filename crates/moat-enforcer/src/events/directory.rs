//! Who is who: which workload a cgroup is, and which rule sets its records may refer to.
//!
//! Written by the manager before it hands rules to a driver, read by the pipeline. A container's last rule
//! sets stay for the records that were on their way when rules changed or the container ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use moat_event::Workload;
use moat_policy::RuleSet;

/// Rule sets kept for a container: the one in force and those that records on their way may still name.
const RULE_SETS: usize = 8;
/// How long an ended container is remembered; records wait at most one aggregation window.
const MEMORY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Directory(RwLock<HashMap<u64, Entry>>);

#[derive(Debug)]
struct Entry {
    workload: Arc<Workload>,
    /// Newest first.
    rule_sets: VecDeque<Arc<RuleSet>>,
    ended: Option<Instant>,
}

impl Directory {
    /// The cgroup is this workload, and from now on its records may name `rules`.
    pub fn enter(&self, cgroup: u64, workload: &Arc<Workload>, rules: Option<&Arc<RuleSet>>) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(cgroup).or_insert_with(|| Entry {
            workload: Arc::clone(workload),
            rule_sets: VecDeque::with_capacity(1),
            ended: None,
        });
        entry.workload = Arc::clone(workload);
        entry.ended = None;
        if let Some(rules) = rules {
            entry.rule_sets.retain(|known| known.generation != rules.generation);
            entry.rule_sets.push_front(Arc::clone(rules));
            entry.rule_sets.truncate(RULE_SETS);
        }
    }

    /// The container ended at `now`; also forgets those that ended long enough ago.
    pub fn leave(&self, cgroup: u64, now: Instant) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get_mut(&cgroup) {
            entry.ended = Some(now);
        }
        entries
            .retain(|_, entry| entry.ended.is_none_or(|ended| now.saturating_duration_since(ended) < MEMORY));
    }

    pub fn workload(&self, cgroup: u64) -> Option<Arc<Workload>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&cgroup).map(|entry| Arc::clone(&entry.workload))
    }

    /// The rule set of that generation, while it is kept.
    pub fn rules(&self, cgroup: u64, generation: u64) -> Option<Arc<RuleSet>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&cgroup)?.rule_sets.iter().find(|rules| rules.generation == generation).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(generation: u64) -> Arc<RuleSet> {
        Arc::new(RuleSet { generation, hash: generation.to_string(), rules: Vec::new() })
    }

    #[test]
    fn old_generations_stay_for_records_on_their_way_and_are_bounded() {
        let directory = Directory::default();
        let workload = Arc::new(Workload::default());
        for generation in 1..=20 {
            directory.enter(7, &workload, Some(&rules(generation)));
        }
        assert_eq!(directory.rules(7, 20), Some(rules(20)));
        assert_eq!(directory.rules(7, 13), Some(rules(13)));
        assert_eq!(directory.rules(7, 12), None);
        assert_eq!(directory.rules(8, 20), None);
    }

    #[test]
    fn an_ended_container_is_remembered_for_a_while() {
        let directory = Directory::default();
        let workload = Arc::new(Workload { pod: String::from("web"), ..Workload::default() });
        let start = Instant::now();
        directory.enter(7, &workload, Some(&rules(1)));
        directory.leave(7, start);
        assert_eq!(directory.workload(7), Some(workload));
        assert_eq!(directory.rules(7, 1), Some(rules(1)));
        directory.leave(8, start + MEMORY);
        assert_eq!(directory.workload(7), None);
    }
}
