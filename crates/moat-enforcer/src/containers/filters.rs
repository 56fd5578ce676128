//! The system calls that containers' seccomp filters refuse: what the agent has told the OCI runtime when it made them,
//! kept over restarts, for a filter lasts as long as its container.
//!
//! The [`Manager`](super::Manager) owns them; [`calls`] says what the next filter has to refuse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use moat_kernel::Capabilities;
use moat_policy::{ActivePolicy, PolicySet, RuntimePolicy};

use crate::policies::{Loaded, Policies};
use crate::runtime::{Container, RuntimeId};

const FILE: &str = "filters.json";

/// Names of system calls.
pub type Calls = BTreeSet<String>;

#[derive(Debug)]
pub struct Filters {
    path: PathBuf,
    of: BTreeMap<RuntimeId, Calls>,
}

impl Filters {
    /// Reads what the last agent left in the state folder. What cannot be understood counts as no filter: the rules of
    /// those containers are then said to be held more weakly than they are.
    pub fn load(state: &Path) -> io::Result<Filters> {
        let path = state.join(FILE);
        let kept: Vec<(String, String, Calls)> = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(file = %path.display(), %error, "which containers have filters is not known any more");
                Vec::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let of =
            kept.into_iter().map(|(namespace, id, calls)| (RuntimeId { namespace, id }, calls)).collect();
        Ok(Filters { path, of })
    }

    pub fn of(&self, container: &RuntimeId) -> Calls {
        self.of.get(container).cloned().unwrap_or_default()
    }

    /// The container is made with a filter that refuses `calls`.
    pub fn set(&mut self, container: RuntimeId, calls: Calls) -> io::Result<()> {
        let changed = if calls.is_empty() {
            self.of.remove(&container).is_some()
        } else {
            self.of.insert(container, calls).is_none()
        };
        if changed { self.save() } else { Ok(()) }
    }

    /// Forgets those that have ended.
    pub fn retain(&mut self, lives: impl Fn(&RuntimeId) -> bool) -> io::Result<()> {
        let before = self.of.len();
        self.of.retain(|container, _| lives(container));
        if self.of.len() == before { Ok(()) } else { self.save() }
    }

    /// Replaces the file in one step, so that a crash leaves the old or the new one.
    fn save(&self) -> io::Result<()> {
        let temporary = self.path.with_extension("json.new");
        let kept: Vec<_> = self.of.iter().map(|(id, calls)| (&id.namespace, &id.id, calls)).collect();
        File::create(&temporary)?.write_all(&serde_json::to_vec(&kept)?)?;
        fs::rename(&temporary, &self.path)
    }
}

/// What the filter of a container that is about to be made has to refuse by these policies.
pub fn calls(
    policies: &Policies,
    container: &Container,
    capabilities: &Capabilities,
) -> Result<Calls, String> {
    if container.sandbox {
        return Ok(Calls::new());
    }
    let about_calls =
        |loaded: &&Loaded<RuntimePolicy>| loaded.policy.spec.rules.iter().any(|rule| rule.syscalls.is_some());
    let active = policies.runtime.iter().filter(about_calls).map(|Loaded { policy, first_seen, .. }| {
        ActivePolicy { policy: Arc::clone(policy), first_seen: *first_seen }
    });
    let mut set = PolicySet::new(active, policies.generation).map_err(|error| error.to_string())?;
    let rules = set.rule_set(&container.workload, Timestamp::now());
    Ok(rules.rules.iter().flat_map(|rule| capabilities.filterable(rule)).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_outlive_the_agent_and_go_with_their_containers() {
        let state = tempfile::tempdir().unwrap();
        let id = |id: &str| RuntimeId { namespace: String::from("k8s.io"), id: String::from(id) };
        let calls = || Calls::from([String::from("personality")]);
        let mut filters = Filters::load(state.path()).unwrap();
        filters.set(id("a"), calls()).unwrap();
        filters.set(id("b"), calls()).unwrap();
        filters.set(id("c"), Calls::new()).unwrap();

        let mut filters = Filters::load(state.path()).unwrap();
        assert_eq!((filters.of(&id("a")), filters.of(&id("c"))), (calls(), Calls::new()));
        filters.retain(|container| *container == id("b")).unwrap();
        let filters = Filters::load(state.path()).unwrap();
        assert_eq!((filters.of(&id("a")), filters.of(&id("b"))), (Calls::new(), calls()));

        fs::write(state.path().join(FILE), "[").unwrap();
        assert_eq!(Filters::load(state.path()).unwrap().of(&id("b")), Calls::new());
    }
}
