//! The containers that are known, by cgroup and by the runtime's id.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use moat_kernel::{ApplyError, ContainerScope};
use moat_policy::RuleSet;
use tokio::time::Instant;

use crate::response::Quarantine;
use crate::runtime::{Container, RuntimeId};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A container's id, unique on the node: which of the runtimes knows it, and its name there.
pub type Id = (usize, RuntimeId);

#[derive(Debug, Default)]
pub struct Inventory {
    by_cgroup: BTreeMap<u64, Known>,
    cgroups: HashMap<Id, u64>,
}

/// One container and what is in force for it.
#[derive(Debug)]
pub struct Known {
    /// Index of the runtime that knows it.
    pub source: usize,
    pub container: Arc<Container>,
    pub scope: ContainerScope,
    /// The last complete set; `None` until the first was put in force.
    pub rules: Option<Arc<RuleSet>>,
    pub quarantine: Option<Quarantine>,
    /// Why the rules that should be in force are not.
    pub problem: Option<Problem>,
}

#[derive(Debug)]
pub struct Problem {
    pub error: ApplyError,
    /// When to try again; never where only another policy can help.
    pub retry: Option<Instant>,
    pause: Duration,
}

impl Problem {
    /// The next failure after `earlier`, with a longer pause.
    pub fn after(earlier: Option<&Problem>, error: ApplyError, now: Instant) -> Problem {
        let pause = earlier.map_or(FIRST_PAUSE, |earlier| (earlier.pause * 2).min(LONGEST_PAUSE));
        let retry = match error {
            ApplyError::DoesNotFit { .. } => None,
            _ => Some(now + pause),
        };
        Problem { error, retry, pause }
    }
}

/// What entering a container changed.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered {
    Unchanged,
    /// New or changed; where the container was known under another cgroup, that one is gone.
    Changed {
        gone: Option<u64>,
    },
}

impl Inventory {
    pub fn enter(&mut self, source: usize, container: Container, scope: ContainerScope) -> Entered {
        let cgroup = scope.cgroup;
        let id = (source, container.runtime_id.clone());
        let gone = self.cgroups.insert(id.clone(), cgroup).filter(|former| *former != cgroup);
        if let Some(former) = gone {
            self.by_cgroup.remove(&former);
        }
        match self.by_cgroup.get_mut(&cgroup) {
            Some(known) if *known.container == container && known.scope == scope => {
                return Entered::Unchanged;
            }
            Some(known) => {
                let former = (known.source, known.container.runtime_id.clone());
                if former != id {
                    self.cgroups.remove(&former);
                }
                known.source = source;
                known.container = Arc::new(container);
                known.scope = scope;
            }
            None => {
                let container = Arc::new(container);
                let known = Known { source, container, scope, rules: None, quarantine: None, problem: None };
                self.by_cgroup.insert(cgroup, known);
            }
        }
        Entered::Changed { gone }
    }

    /// Forgets the container; its cgroup, if it was known.
    pub fn leave(&mut self, id: &Id) -> Option<u64> {
        let cgroup = self.cgroups.remove(id)?;
        self.by_cgroup.remove(&cgroup);
        Some(cgroup)
    }

    pub fn get(&self, cgroup: u64) -> Option<&Known> {
        self.by_cgroup.get(&cgroup)
    }

    pub fn get_mut(&mut self, cgroup: u64) -> Option<&mut Known> {
        self.by_cgroup.get_mut(&cgroup)
    }

    /// In the order of the cgroups, which is about that of their creation.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Known)> {
        self.by_cgroup.iter().map(|(cgroup, known)| (*cgroup, known))
    }

    pub fn ids(&self) -> impl Iterator<Item = &Id> {
        self.cgroups.keys()
    }
}

#[cfg(test)]
mod tests {
    use moat_event::Workload;

    use super::*;

    fn container(id: &str, pid: u32) -> (Container, ContainerScope) {
        let container = Container {
            workload: Workload { container: id.to_owned(), ..Workload::default() },
            runtime_id: RuntimeId { namespace: String::from("default"), id: id.to_owned() },
            init_pid: pid,
            sandbox: false,
            sandbox_id: None,
        };
        (container, ContainerScope { cgroup: u64::from(pid), cgroup_directory: None, init_pid: pid })
    }

    #[test]
    fn a_restarted_container_takes_the_place_of_its_former_self() {
        let mut inventory = Inventory::default();
        let (first, scope) = container("web", 10);
        assert_eq!(inventory.enter(0, first.clone(), scope.clone()), Entered::Changed { gone: None });
        assert_eq!(inventory.enter(0, first, scope), Entered::Unchanged);
        let (second, scope) = container("web", 20);
        let id = (0, second.runtime_id.clone());
        assert_eq!(inventory.enter(0, second, scope), Entered::Changed { gone: Some(10) });
        assert_eq!(inventory.iter().map(|(cgroup, _)| cgroup).collect::<Vec<_>>(), [20]);
        assert_eq!(inventory.leave(&id), Some(20));
        assert_eq!(inventory.leave(&id), None);
        assert_eq!(inventory.iter().count(), 0);
    }

    #[test]
    fn a_cgroup_that_is_used_again_belongs_to_the_newest() {
        let mut inventory = Inventory::default();
        let (old, scope) = container("old", 10);
        let (new, _) = container("new", 11);
        let old_id = (0, old.runtime_id.clone());
        inventory.enter(0, old, scope.clone());
        inventory.enter(0, new, scope);
        assert_eq!(inventory.leave(&old_id), None);
        assert_eq!(inventory.get(10).map(|known| known.container.runtime_id.id.as_str()), Some("new"));
    }

    #[test]
    fn failures_are_tried_again_ever_more_rarely_but_what_does_not_fit_is_not() {
        let now = Instant::now();
        let mut problem: Option<Problem> = None;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let next = Problem::after(problem.as_ref(), ApplyError::Vanished, now);
            pauses.push(next.retry.map(|retry| (retry - now).as_millis()));
            problem = Some(next);
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000].map(Some));
        let does_not_fit =
            ApplyError::DoesNotFit { policy: String::new(), rule: String::new(), what: String::new() };
        assert_eq!(Problem::after(problem.as_ref(), does_not_fit, now).retry, None);
    }
}
