//! The kernel programs, whichever driver uses them: one object, the tables that rules become, what the programs
//! send back, and the starts that wait. [`crate::guard`] and [`crate::lsm`] load different programs of it over the
//! same maps.

pub(crate) mod attempt;
pub(crate) mod calls;
pub(crate) mod demand;
pub(crate) mod features;
mod file_calls;
mod foreign_calls;
mod holds;
pub(crate) mod layout;
mod life;
mod network;
pub(crate) mod object;
mod objects;
pub(crate) mod observer;
mod on_demand;
pub(crate) mod pins;
mod profiles;
mod reader;
pub mod record_bytes;
mod scope;
mod symlinks;
mod tables;
mod tasks;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, RwLock};

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use moat_event::{Loss, LossStage};
use moat_policy::{RuleIndex, RuleSet};

pub use self::tasks::Tasks;

use self::holds::Holds;
use self::layout::{Container, kernel_device};
use self::life::Life;
use self::network::Links as NetworkLinks;
use self::object::{Loaded, io_error};
use self::objects::Objects;
use self::observer::Observer;
use self::on_demand::{Names, OnDemand};
use self::pins::{Attachment, Instance, Pins};
pub(crate) use self::profiles::Profile;
use self::profiles::Profiles;
use self::reader::{COUNTER_UNHELD, Reader, counter};
use self::scope::Scope;
use self::symlinks::Symlinks;
use crate::driver::{ApplyError, Held, Inherited};
use crate::{ContainerScope, Observation, Sink, users};

/// What a driver needs to know about the node.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// Base names of OCI runtimes; what they start in a cgroup that is not known waits until it is.
    pub oci_runtimes: Vec<String>,
    /// Index of the cgroup v1 controller that tells containers apart; `None` where there is cgroup v2.
    pub v1_controller: Option<i32>,
    /// The agent runs in a pod: no other agent would let its own start go on.
    pub in_pod: bool,
    /// Whose pins are taken over and left behind; `None`: enforcement ends with the process.
    pub instance: Option<Instance>,
    /// Where what containers do is told, whether or not a rule speaks of it; `None`: it is not observed.
    pub observations: Option<Sink<Observation>>,
    /// Does as on a kernel without `bpf_loop`: for tests.
    pub without_loop: bool,
}

impl Default for DriverConfig {
    fn default() -> Self {
        let oci_runtimes = ["runc", "crun", "youki", "docker-runc"].map(String::from).to_vec();
        DriverConfig {
            oci_runtimes,
            v1_controller: None,
            in_pod: false,
            instance: None,
            observations: None,
            without_loop: false,
        }
    }
}

/// Why a driver could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the kernel refused the programs: {0}; `moat doctor` tells what is missing")]
    Kernel(#[from] libbpf_rs::Error),
    #[error("the kernel object has no {kind} {name:?}; build Moat anew")]
    Missing { kind: &'static str, name: String },
    #[error("{0}")]
    Refused(String),
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
    links: NetworkLinks,
}

/// The loaded programs with the containers they judge. Dropping it lets every held start go on, and leaves nothing in
/// the kernel but what is pinned.
#[derive(Debug)]
pub(crate) struct Programs {
    // In the order in which they must go: first nothing is judged any more, then the reader ends.
    managed: HashMap<u64, Managed>,
    on_demand: OnDemand,
    observer: Option<Observer>,
    links: Vec<Attachment>,
    reader: Reader,
    life: Arc<Mutex<Life>>,
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
    pins: Option<Pins>,
    /// Containers that an agent before us put rules in force for, and we have not yet.
    inherited: HashSet<u64>,
    inheritance: Option<Inherited>,
    sink: Sink,
}

impl Programs {
    /// Starts to read what the loaded programs send, and attaches `attach`, in this order, in place of what an agent
    /// before us has pinned; what else is in `loaded` only while rules need it. Records go to `sink`, container starts
    /// that wait to `held`.
    pub fn start(
        mut loaded: Loaded,
        attach: &[&str],
        config: &DriverConfig,
        mut pins: Option<Pins>,
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
        only(&loaded.map("agents")?, [std::process::id()])?;
        if config.in_pod {
            loaded.run(SETTLE)?;
        } else {
            loaded.map("agent_pod")?.update(&0u32.to_ne_bytes(), &0u64.to_ne_bytes(), MapFlags::ANY)?;
        }
        only(&loaded.map("own_maps")?, loaded.map_ids())?;
        let containers = loaded.map("containers")?;
        let mut scope = Scope::new(&loaded.map("scope_cells")?, loaded.map("nested")?)?;
        let inherited: HashSet<u64> = containers.keys().filter_map(cgroup).collect();
        for cgroup in &inherited {
            scope.resume(*cgroup);
        }
        let judges = Judges::default();
        let tasks = Arc::new(Tasks::new(loaded.map("tasks")?));
        let profiles = Profiles::new(&loaded, loaded.programs().iter().copied().collect())?;
        let holds = Holds::new(loaded.map("holds")?);
        let mut life = Life::new(loaded.map("agent")?)?;
        let all_unheld = counter(&loaded.map("counters")?, COUNTER_UNHELD);
        let unheld = all_unheld.saturating_sub(life.told(COUNTER_UNHELD));
        life.tell(COUNTER_UNHELD, all_unheld);
        life.beat();
        let life = Arc::new(Mutex::new(life));
        let reader = Reader::start(&loaded, Arc::clone(&life), Arc::clone(&judges), sink.clone(), held)?;
        let mut attach_to_node = |name: &str| loaded.attach(pins.as_mut(), name);
        let links = attach.iter().map(|name| attach_to_node(name)).collect::<Result<Vec<_>, _>>()?;
        // What the programs before it have just noted of a task, or decided, is not for it to know before them.
        let observer = config.observations.as_ref().and_then(|sink| Observer::start(&mut loaded, sink));
        let mut on_demand = OnDemand::default();
        if let Some(pins) = &mut pins {
            let mut in_use: Names = loaded.programs().iter().copied().collect();
            in_use.retain(|name| !attach.contains(name) && pins.others_have(name));
            on_demand.attach(&mut loaded, Some(pins), &in_use)?;
            pins.replace_others();
        }
        let inheritance = pins
            .as_ref()
            .is_some_and(|pins| pins.inherited)
            .then_some(Inherited { containers: inherited.len(), unheld });
        Ok(Programs {
            managed: HashMap::new(),
            on_demand,
            observer,
            links,
            reader,
            life,
            holds,
            judges,
            tasks,
            containers,
            unified: config.v1_controller.is_none(),
            scope,
            profiles,
            objects: Objects::new(&loaded)?,
            symlinks: Symlinks::default(),
            loaded,
            pins,
            inherited,
            inheritance,
            sink,
        })
    }

    /// What an agent before this one has left in force.
    pub fn inheritance(&self) -> Option<Inherited> {
        self.inheritance
    }

    /// Every container that runs is in `running`: what an agent before us has left for others goes.
    pub fn forget_others(&mut self, running: &HashSet<u64>) {
        let gone: Vec<u64> = self.inherited.difference(running).copied().collect();
        for cgroup in gone {
            self.release(cgroup, || {});
        }
        let in_force: HashSet<u32> =
            self.inherited.iter().filter_map(|cgroup| self.profile_of(*cgroup)).collect();
        self.profiles.forget_others(in_force);
        if let Some(pins) = &self.pins {
            pins.replace_all(&self.inherited);
        }
        self.detach_unneeded();
    }

    /// The number of a container's profile, as the kernel has it.
    fn profile_of(&self, cgroup: u64) -> Option<u32> {
        let container = self.containers.lookup(&cgroup.to_ne_bytes(), MapFlags::ANY).ok()??;
        Container::profile_in(&container)
    }

    /// What tasks are to their containers.
    pub fn tasks(&self) -> Arc<Tasks> {
        Arc::clone(&self.tasks)
    }

    /// Writes the tables of all these at once; they wait for [`Programs::put`], or for the next call of this.
    pub fn prepare(&mut self, soon: &[(ContainerScope, Arc<RuleSet>)]) {
        let mut wanted = Vec::with_capacity(soon.len());
        for (scope, rules) in soon {
            // A container that has ended meanwhile is told of when its rules are to be put in force.
            if let (false, Ok(users)) =
                (rules.rules.is_empty(), users::read(Path::new("/proc"), scope.init_pid))
            {
                wanted.push((self.symlinks.follow(rules, scope.init_pid), users));
            }
        }
        self.profiles.prepare(&wanted);
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
            Some(profile) => NetworkLinks::attach(&mut self.loaded, self.pins.as_mut(), scope, profile)?,
            None => NetworkLinks::default(),
        };
        if let Some(profile) = &profile
            && let Err(error) = self.on_demand.attach(&mut self.loaded, self.pins.as_mut(), &profile.programs)
        {
            links.remove();
            return Err(refused(&error));
        }
        if let Err(error) = before(profile.as_deref().zip(rules)) {
            links.remove();
            return Err(error);
        }
        let members = if self.managed.contains_key(&scope.cgroup) { Vec::new() } else { members(scope) };
        self.tasks.adopt(&members, scope);
        // What waits is looked at before it may go on, and end.
        let found: Vec<Observation> = match &self.observer {
            Some(_) => members.iter().filter_map(|pid| observer::running(*pid, scope, &self.tasks)).collect(),
            None => Vec::new(),
        };
        let generation = rules.map_or(0, |rules| rules.generation);
        self.judge_by(scope, profile.as_deref(), generation);
        let container = Container {
            generation,
            profile: profile.as_ref().map_or(0, |profile| profile.id),
            init_pid: scope.init_pid,
            root_device: kernel_device(device),
            needs: profile.as_ref().map_or(0, |profile| profile.needs()),
        };
        let objects = self.objects.put(scope.cgroup, scope.init_pid, device, profile.as_deref());
        let before_objects = match objects {
            Ok(before) => before,
            Err(error) => {
                links.remove();
                return Err(error);
            }
        };
        self.scope.enter(scope.cgroup);
        let key = scope.cgroup.to_ne_bytes();
        if let Err(error) = self.containers.update(&key, &container.bytes(), MapFlags::ANY) {
            links.remove();
            return Err(ApplyError::Kernel(io_error(&error)));
        }
        if let Some(directory) = &scope.cgroup_directory
            && self.unified
            && !self.managed.contains_key(&scope.cgroup)
        {
            self.scope.adopt(scope.cgroup, directory);
        }
        self.objects.forget(scope.cgroup, before_objects.as_ref());
        if let Some(before) = self.managed.insert(scope.cgroup, Managed { profile, links }) {
            before.links.remove();
        }
        self.inherited.remove(&scope.cgroup);
        if let Some(pins) = &self.pins {
            pins.replace_container(scope.cgroup);
        }
        self.profiles.sweep();
        self.detach_unneeded();
        let judge = self.judges.read().ok().and_then(|judges| judges.get(&scope.cgroup).cloned());
        self.holds.adopt(scope.cgroup, &members);
        let ended = self.holds.settle(scope, judge.as_ref(), &self.tasks, &self.sink);
        if let Some(observer) = &self.observer {
            found
                .into_iter()
                .filter(|seen| !ended.contains(&seen.process.pid))
                .for_each(|seen| observer.tell(seen));
        }
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

    /// Detaches what no rule needs any more. What an agent before us has put in force may need anything.
    fn detach_unneeded(&mut self) {
        if self.inherited.is_empty() {
            let profiles = self.managed.values().filter_map(|managed| managed.profile.as_ref());
            let needed = profiles.flat_map(|profile| &profile.programs).copied().collect();
            self.on_demand.keep(&needed);
        }
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
        self.inherited.remove(&cgroup);
        if let Some(managed) = self.managed.remove(&cgroup) {
            managed.links.remove();
        }
        if let Some(pins) = &self.pins {
            pins.replace_container(cgroup);
        }
        self.profiles.sweep();
        self.holds.let_go(cgroup);
        self.detach_unneeded();
    }

    /// Sets of rules that are in the kernel now.
    pub fn profiles(&self) -> usize {
        self.profiles.len()
    }

    /// Whether what containers do is told.
    pub fn observes(&self) -> bool {
        self.observer.is_some()
    }

    /// What was lost since the start, by stage.
    pub fn losses(&self) -> Vec<Loss> {
        vec![
            Loss { stage: LossStage::RingBuffer, events: self.reader.lost_in_kernel() },
            Loss { stage: LossStage::Pipeline, events: self.sink.lost() },
            Loss { stage: LossStage::Observation, events: self.observer.as_ref().map_or(0, Observer::lost) },
        ]
    }
}

/// Notes in which pod the agent lives.
pub(crate) const SETTLE: &str = "moat_settle";

/// Makes these the only keys of a set.
fn only(set: &MapHandle, keys: impl IntoIterator<Item = u32>) -> Result<(), libbpf_rs::Error> {
    let keys: HashSet<Vec<u8>> = keys.into_iter().map(|key| key.to_ne_bytes().to_vec()).collect();
    for key in &keys {
        set.update(key, &[1], MapFlags::ANY)?;
    }
    let before: Vec<_> = set.keys().filter(|key| !keys.contains(key)).collect();
    before.iter().try_for_each(|key| set.delete(key))
}

/// A key of the map of containers.
fn cgroup(key: Vec<u8>) -> Option<u64> {
    Some(u64::from_ne_bytes(key.try_into().ok()?))
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
        if let Ok(mut life) = self.life.lock() {
            life.end();
        }
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
