//! Who is who: which container a cgroup is, and which rule sets its records may refer to.
//!
//! Written by the manager before it hands rules to a driver, read by the pipeline. A container's last rule
//! sets stay for the records that were on their way when rules changed or the container ended.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use moat_policy::RuleSet;

use crate::runtime::{Container, Source};

/// Rule sets kept for a container: the one in force and those that records on their way may still name.
const RULE_SETS: usize = 8;
/// How long an ended container is remembered: what it did is counted for more than half a minute before it is told.
const MEMORY: Duration = Duration::from_mins(1);

#[derive(Debug, Default)]
pub struct Directory(RwLock<HashMap<u64, Entry>>);

/// A container, and the runtime that knows it.
#[derive(Debug, Clone)]
pub struct Resident {
    pub container: Arc<Container>,
    pub source: Arc<dyn Source>,
}

#[derive(Debug)]
struct Entry {
    resident: Resident,
    /// Newest first.
    rule_sets: VecDeque<Arc<RuleSet>>,
    ended: Option<Instant>,
}

impl Directory {
    /// The cgroup is this container's, and from now on its records may name `rules`.
    pub fn enter(&self, cgroup: u64, resident: Resident, rules: Option<&Arc<RuleSet>>) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let rule_sets = entries.remove(&cgroup).map(|entry| entry.rule_sets).unwrap_or_default();
        let entry = entries.entry(cgroup).or_insert(Entry { resident, rule_sets, ended: None });
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

    pub fn resident(&self, cgroup: u64) -> Option<Resident> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&cgroup).map(|entry| entry.resident.clone())
    }

    /// The rule set of that generation, while it is kept.
    pub fn rules(&self, cgroup: u64, generation: u64) -> Option<Arc<RuleSet>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&cgroup)?.rule_sets.iter().find(|rules| rules.generation == generation).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use moat_event::Workload;

    use super::*;
    use crate::runtime::{Kind, RuntimeId, open};

    fn resident(pod: &str) -> Resident {
        let container = Container {
            workload: Workload { pod: pod.to_owned(), ..Workload::default() },
            runtime_id: RuntimeId { namespace: String::from("default"), id: pod.to_owned() },
            init_pid: 1,
            sandbox: false,
            sandbox_id: None,
        };
        // Nothing connects to it before something is asked.
        let source = open(Some(Kind::Containerd), Some(Path::new("/nowhere.sock"))).unwrap().remove(0);
        Resident { container: Arc::new(container), source }
    }

    fn rules(generation: u64) -> Arc<RuleSet> {
        Arc::new(RuleSet { generation, hash: generation.to_string(), rules: Vec::new() })
    }

    #[tokio::test]
    async fn old_generations_stay_for_records_on_their_way_and_are_bounded() {
        let directory = Directory::default();
        let web = resident("web");
        for generation in 1..=20 {
            directory.enter(7, web.clone(), Some(&rules(generation)));
        }
        assert_eq!(directory.rules(7, 20), Some(rules(20)));
        assert_eq!(directory.rules(7, 13), Some(rules(13)));
        assert_eq!(directory.rules(7, 12), None);
        assert_eq!(directory.rules(8, 20), None);
    }

    #[tokio::test]
    async fn an_ended_container_is_remembered_for_a_while() {
        let directory = Directory::default();
        let web = resident("web");
        let start = Instant::now();
        directory.enter(7, web.clone(), Some(&rules(1)));
        directory.leave(7, start);
        assert_eq!(directory.resident(7).map(|resident| resident.container), Some(web.container));
        assert_eq!(directory.rules(7, 1), Some(rules(1)));
        directory.leave(8, start + MEMORY);
        assert!(directory.resident(7).is_none());
    }
}
