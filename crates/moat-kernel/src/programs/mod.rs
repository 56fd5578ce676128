//! The kernel programs, whichever driver uses them: one object, the tables that rules become, what the programs
//! send back, and the starts that wait. [`crate::guard`] and [`crate::lsm`] load different programs of it over the
//! same maps.

pub(crate) mod attempt;
pub(crate) mod calls;
mod file_calls;
mod foreign_calls;
mod holds;
pub(crate) mod layout;
mod network;
pub(crate) mod object;
mod objects;
mod on_demand;
mod profiles;
mod reader;
pub mod record_bytes;
mod scope;
mod symlinks;
mod tables;
mod tasks;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, RwLock};

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};
use moat_event::{Loss, LossStage};
use moat_policy::{RuleIndex, RuleSet};

pub use self::tasks::Tasks;

use self::holds::Holds;
use self::layout::{Container, kernel_device};
use self::network::Links as NetworkLinks;
use self::object::{Loaded, io_error};
use self::objects::Objects;
use self::on_demand::{Names, OnDemand};
pub(crate) use self::profiles::Profile;
use self::profiles::Profiles;
use self::reader::Reader;
use self::scope::Scope;
use self::symlinks::Symlinks;
use crate::driver::{ApplyError, Held};
use crate::{ContainerScope, Sink, users};

/// What a driver needs to know about the node.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// Base names of OCI runtimes; what they start in a cgroup that is not known waits until it is.
    pub oci_runtimes: Vec<String>,
    /// Index of the cgroup v1 controller that tells containers apart; `None` where there is cgroup v2.
    pub v1_controller: Option<i32>,
}

impl Default for DriverConfig {
    fn default() -> Self {
        let oci_runtimes = ["runc", "crun", "youki", "docker-runc"].map(String::from).to_vec();
        DriverConfig { oci_runtimes, v1_controller: None }
    }
}

/// Why a driver could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the kernel refused the programs: {0}; `moat doctor` tells what is missing")]
    Kernel(#[from] libbpf_rs::Error),
    #[error("the kernel object has no {kind} {name:?}; build Moat anew")]
    Missing { kind: &'static str, name: &'static str },
    #[error("cannot start the driver: {0}")]
    Io(#[from] std::io::Error),
}

/// The rules that the agent itself decides by for one container.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    pub index: Arc<RuleIndex>,
    pub generation: u64,
}

/// Judges by cgroup, shared with the thread that reads records.
pub(crate) type Judges = Arc<RwLock<HashMap<u64, Judge>>>;

/// A container whose rules are in force.
#[derive(Debug)]
struct Managed {
    profile: Option<Arc<Profile>>,
    // Detached when dropped.
    _links: NetworkLinks,
}

/// The loaded programs with the containers they judge. Dropping it leaves nothing in the kernel and lets every
/// held start go on.
#[derive(Debug)]
pub(crate) struct Programs {
    // In the order in which they must go: first nothing is judged any more, then the reader ends.
    managed: HashMap<u64, Managed>,
    on_demand: OnDemand,
    links: Vec<Link>,
    reader: Reader,
    holds: Holds,
    judges: Judges,
    tasks: Arc<Tasks>,
    containers: MapHandle,
    scope: Scope,
    /// Containers are told apart by cgroup v2.
    unified: bool,
    profiles: Profiles,
    objects: Objects,
    symlinks: Symlinks,
    loaded: Loaded,
    sink: Sink,
}

impl Programs {
    /// Starts to read what the loaded programs send, and attaches `attach`, in this order; what else is in `loaded` only
    /// while rules need it. Records go to `sink`, container starts that wait to `held`.
    pub fn start(
        mut loaded: Loaded,
        attach: &[&'static str],
        config: &DriverConfig,
        sink: Sink,
        held: SyncSender<Held>,
    ) -> Result<Programs, LoadError> {
        let runtimes = loaded.map("runtimes")?;
        for name in &config.oci_runtimes {
            let mut key = [0; 16];
            if let Some(place) = key.get_mut(..name.len().min(15)) {
                place.copy_from_slice(&name.as_bytes()[..name.len().min(15)]);
            }
            runtimes.update(&key, &1u32.to_ne_bytes(), MapFlags::ANY)?;
        }
        let calls = loaded.map("file_calls")?;
        for (number, row) in file_calls::rows() {
            calls.update(&number.to_ne_bytes(), &row, MapFlags::ANY)?;
        }
        let gates = loaded.map("call_gates")?;
        for (number, hooks) in calls::gates() {
            gates.update(&number.to_ne_bytes(), &hooks.to_ne_bytes(), MapFlags::ANY)?;
        }
        let foreign = loaded.map("foreign_calls")?;
        for (place, number) in foreign_calls::rows() {
            foreign.update(&place.to_ne_bytes(), &number.to_ne_bytes(), MapFlags::ANY)?;
        }
        loaded.map("agents")?.update(&std::process::id().to_ne_bytes(), &[1], MapFlags::ANY)?;
        let own_maps = loaded.map("own_maps")?;
        for id in loaded.map_ids()? {
            own_maps.update(&id.to_ne_bytes(), &[1], MapFlags::ANY)?;
        }
        let judges = Judges::default();
        let tasks = Arc::new(Tasks::new(loaded.map("tasks")?));
        let profiles = Profiles::new(&loaded, loaded.programs().iter().copied().collect())?;
        let holds = Holds::new(loaded.map("holds")?);
        let reader = Reader::start(&loaded, Arc::clone(&judges), sink.clone(), held)?;
        let links = attach.iter().map(|name| loaded.attach(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Programs {
            managed: HashMap::new(),
            on_demand: OnDemand::default(),
            links,
            reader,
            holds,
            judges,
            tasks,
            containers: loaded.map("containers")?,
            unified: config.v1_controller.is_none(),
            scope: Scope::new(&loaded.map("scope_cells")?, loaded.map("nested")?)?,
            profiles,
            objects: Objects::new(&loaded)?,
            symlinks: Symlinks::default(),
            loaded,
            sink,
        })
    }

    /// What tasks are to their containers.
    pub fn tasks(&self) -> Arc<Tasks> {
        Arc::clone(&self.tasks)
    }

    /// Puts `rules` in force; `before` runs when the tables are in the kernel and nothing is judged by them yet.
    pub fn put(
        &mut self,
        scope: &ContainerScope,
        rules: Option<&Arc<RuleSet>>,
        before: impl FnOnce(Option<(&Profile, &Arc<RuleSet>)>) -> Result<(), ApplyError>,
    ) -> Result<(), ApplyError> {
        let root = PathBuf::from(format!("/proc/{}/root", scope.init_pid));
        let device = fs::metadata(&root).map_err(|_| ApplyError::Vanished)?.dev();
        let rules = rules.map(|rules| self.symlinks.follow(rules, scope.init_pid));
        let rules = rules.as_ref();
        let profile = match rules {
            Some(rules) if !rules.rules.is_empty() => {
                let users =
                    users::read(Path::new("/proc"), scope.init_pid).map_err(|_| ApplyError::Vanished)?;
                Some(self.profiles.put(rules, &users)?)
            }
            _ => None,
        };
        let links = match &profile {
            Some(profile) => NetworkLinks::attach(&mut self.loaded, scope, profile)?,
            None => NetworkLinks::default(),
        };
        if let Some(profile) = &profile {
            self.on_demand.attach(&mut self.loaded, &profile.programs).map_err(|error| refused(&error))?;
        }
        before(profile.as_deref().zip(rules))?;
        let members = if self.managed.contains_key(&scope.cgroup) { Vec::new() } else { members(scope) };
        self.tasks.adopt(&members, scope.init_pid);
        let generation = rules.map_or(0, |rules| rules.generation);
        self.judge_by(scope, profile.as_deref(), generation);
        let container = Container {
            generation,
            profile: profile.as_ref().map_or(0, |profile| profile.id),
            init_pid: scope.init_pid,
            root_device: kernel_device(device),
            needs: profile.as_ref().map_or(0, |profile| profile.needs()),
        };
        let before_objects = self.objects.put(scope.cgroup, scope.init_pid, device, profile.as_deref())?;
        self.scope.enter(scope.cgroup);
        self.containers
            .update(&scope.cgroup.to_ne_bytes(), &container.bytes(), MapFlags::ANY)
            .map_err(|error| ApplyError::Kernel(io_error(&error)))?;
        if let Some(directory) = &scope.cgroup_directory
            && self.unified
            && !self.managed.contains_key(&scope.cgroup)
        {
            self.scope.adopt(scope.cgroup, directory);
        }
        self.objects.forget(scope.cgroup, before_objects);
        self.managed.insert(scope.cgroup, Managed { profile, _links: links });
        self.profiles.sweep();
        self.on_demand.keep(&self.needed());
        let judge = self.judges.read().ok().and_then(|judges| judges.get(&scope.cgroup).cloned());
        self.holds.adopt(scope.cgroup, &members);
        self.holds.settle(scope, judge.as_ref(), &self.tasks, &self.sink);
        Ok(())
    }

    fn judge_by(&self, scope: &ContainerScope, profile: Option<&Profile>, generation: u64) {
        let Ok(mut judges) = self.judges.write() else { return };
        match profile {
            Some(profile) => {
                let index = Arc::clone(&profile.index);
                judges.insert(scope.cgroup, Judge { index, generation });
            }
            None => {
                judges.remove(&scope.cgroup);
            }
        }
    }

    /// What the containers' rules need attached.
    fn needed(&self) -> Names {
        let profiles = self.managed.values().filter_map(|managed| managed.profile.as_ref());
        profiles.flat_map(|profile| &profile.programs).copied().collect()
    }

    /// The container is gone; `before` runs when the programs no longer judge it.
    pub fn release(&mut self, cgroup: u64, before: impl FnOnce()) {
        let _ = self.containers.delete(&cgroup.to_ne_bytes());
        self.scope.leave(cgroup);
        before();
        if let Ok(mut judges) = self.judges.write() {
            judges.remove(&cgroup);
        }
        self.objects.release(cgroup);
        self.managed.remove(&cgroup);
        self.profiles.sweep();
        self.holds.let_go(cgroup);
        self.on_demand.keep(&self.needed());
    }

    /// Sets of rules that are in the kernel now.
    pub fn profiles(&self) -> usize {
        self.profiles.len()
    }

    /// What was lost since the start, by stage.
    pub fn losses(&self) -> Vec<Loss> {
        vec![
            Loss { stage: LossStage::RingBuffer, events: self.reader.lost_in_kernel() },
            Loss { stage: LossStage::Pipeline, events: self.sink.lost() },
        ]
    }
}

fn refused(error: &LoadError) -> ApplyError {
    ApplyError::Kernel(std::io::Error::other(error.to_string()))
}

/// What the kernel says about a container that ends meanwhile means only that.
pub(crate) fn or_vanished(scope: &ContainerScope, error: ApplyError) -> ApplyError {
    match fs::metadata(format!("/proc/{}/root", scope.init_pid)) {
        Err(_) => ApplyError::Vanished,
        Ok(_) => error,
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        // No new start may come to wait once those that do have been let go.
        self.links.clear();
        self.holds.let_all_go();
    }
}

/// The processes of a container that the driver meets for the first time.
fn members(scope: &ContainerScope) -> Vec<u32> {
    let listed = scope
        .cgroup_directory
        .as_ref()
        .and_then(|directory| fs::read_to_string(directory.join("cgroup.procs")).ok())
        .unwrap_or_else(|| scope.init_pid.to_string());
    listed.lines().filter_map(|line| line.parse().ok()).collect()
}
