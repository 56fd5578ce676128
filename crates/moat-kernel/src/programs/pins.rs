//! What stays in force without an agent: maps and attached programs, pinned in the BPF file system.
//!
//! ```text
//! /sys/fs/bpf/moat/INSTANCE/LAYOUT/maps/MAP                 shared by all agents of this layout
//!                                 /AGENT/PROGRAM            attached to the node
//!                                 /AGENT/CGROUP_PROGRAM_N   attached to a container
//! ```
//!
//! An agent loads its programs over the maps that it finds, attaches them beside those of the agent before it, and
//! only then removes the other's: at no moment is nothing attached. Maps of another layout are left alone until
//! every container has its rules in those of our own.

use std::collections::HashSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};
use rustix::fs::statfs;
use rustix::mount::{MountFlags, mount};

use super::holds::Holds;
use super::layout::Container;
use super::life::Life;
use super::object::io_error;

const FILE_SYSTEM: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC` in linux/magic.h.
const MAGIC: u64 = 0xcafe_4a11;
const MAPS: &str = "maps";

/// Whose pins: those of one state folder, so that several agents on a node do not meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance(String);

impl Instance {
    pub fn of(state: &Path) -> Instance {
        let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
        // Names in the BPF file system may not have every character that paths have.
        Instance(format!("{:016x}", fingerprint([state.as_os_str().as_bytes()])))
    }

    fn folder(&self) -> PathBuf {
        Path::new(FILE_SYSTEM).join("moat").join(&self.0)
    }
}

/// FNV-1a: the same in every build, and nobody gains by a collision.
pub(super) fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    parts
        .into_iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A program at its hook. Dropping it takes an unpinned one away and leaves a pinned one.
#[derive(Debug)]
pub(crate) struct Attachment {
    _link: Link,
    pin: Option<PathBuf>,
}

impl Attachment {
    pub fn remove(self) {
        if let Some(pin) = &self.pin
            && let Err(error) = fs::remove_file(pin)
        {
            tracing::warn!(pin = %pin.display(), %error, "cannot remove a pin");
        }
    }
}

/// Our own part of the BPF file system.
#[derive(Debug)]
pub(crate) struct Pins {
    instance: PathBuf,
    layout: PathBuf,
    own: PathBuf,
    /// The maps were there before us.
    pub inherited: bool,
    next: u64,
}

impl Pins {
    /// Makes the folders of a new agent. `layout` says what the maps hold.
    pub fn open(instance: &Instance, layout: u64) -> io::Result<Pins> {
        mounted()?;
        let instance = instance.folder();
        let layout = instance.join(format!("{layout:016x}"));
        let inherited = layout.join(MAPS).join("containers").exists();
        DirBuilder::new().recursive(true).mode(0o700).create(layout.join(MAPS))?;
        let last = agents(&layout).iter().filter_map(|agent| agent.file_name()?.to_str()?.parse().ok()).max();
        let own = layout.join((last.unwrap_or(0u64) + 1).to_string());
        DirBuilder::new().mode(0o700).create(&own)?;
        Ok(Pins { instance, layout, own, inherited, next: 0 })
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.layout.join(MAPS).join(name.replace('.', "_"))
    }

    pub fn pin(&mut self, mut link: Link, program: &str, cgroup: Option<u64>) -> io::Result<Attachment> {
        let pin = self.own.join(match cgroup {
            None => program.to_owned(),
            Some(cgroup) => {
                self.next += 1;
                format!("{cgroup}_{program}_{}", self.next)
            }
        });
        link.pin(&pin).map_err(|error| io_error(&error))?;
        Ok(Attachment { _link: link, pin: Some(pin) })
    }

    /// Whether an agent before us has this program attached to the node.
    pub fn others_have(&self, program: &str) -> bool {
        self.others().iter().any(|agent| agent.join(program).exists())
    }

    fn others(&self) -> Vec<PathBuf> {
        agents(&self.layout).into_iter().filter(|agent| *agent != self.own).collect()
    }

    /// Our programs are attached: those of agents before us go.
    pub fn replace_others(&self) {
        self.remove_of_others(|name| cgroup_in(name).is_none());
        for layout in self.other_layouts() {
            // Ours make starts wait now; nobody would let those of the others go.
            if let Ok(mut life) = Life::open(&layout.join(MAPS)) {
                life.end();
            }
        }
    }

    /// The container is judged by our programs alone, or by none.
    pub fn replace_container(&self, cgroup: u64) {
        self.remove_of_others(|name| cgroup_in(name) == Some(cgroup));
    }

    /// Every container is judged by our programs, but for `kept`: whatever else others left goes.
    pub fn replace_all(&self, kept: &HashSet<u64>) {
        self.remove_of_others(|name| cgroup_in(name).is_none_or(|cgroup| !kept.contains(&cgroup)));
        for agent in self.others() {
            // It stays while there is something in it.
            let _ = fs::remove_dir(agent);
        }
        for layout in self.other_layouts() {
            if let Err(error) = remove_layout(&layout) {
                tracing::warn!(layout = %layout.display(), %error, "cannot remove what an older agent pinned");
            }
        }
    }

    fn remove_of_others(&self, which: impl Fn(&str) -> bool) {
        for pin in self.others().iter().flat_map(|agent| entries(agent)) {
            if pin.file_name().and_then(|name| name.to_str()).is_some_and(&which)
                && let Err(error) = fs::remove_file(&pin)
            {
                tracing::warn!(pin = %pin.display(), %error, "cannot remove what an agent before this one pinned");
            }
        }
    }

    fn other_layouts(&self) -> Vec<PathBuf> {
        entries(&self.instance).into_iter().filter(|layout| *layout != self.layout).collect()
    }

    /// What to do when our start has failed: what was there before stays as it was.
    pub fn abandonment(&self) -> impl FnOnce() + use<> {
        let (inherited, own, layout) = (self.inherited, self.own.clone(), self.layout.clone());
        move || {
            let removed = if inherited { remove_folder(&own) } else { remove_layout(&layout) };
            if let Err(error) = removed {
                tracing::warn!(pins = %own.display(), %error, "cannot remove pins");
            }
        }
    }
}

/// The pin of a container's program says whose it is.
fn cgroup_in(name: &str) -> Option<u64> {
    name.split_once('_')?.0.parse().ok()
}

fn agents(layout: &Path) -> Vec<PathBuf> {
    entries(layout).into_iter().filter(|path| !path.ends_with(MAPS)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Mounts the BPF file system where nobody has.
fn mounted() -> io::Result<()> {
    if u64::try_from(statfs(FILE_SYSTEM)?.f_type) == Ok(MAGIC) {
        return Ok(());
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("bpf", FILE_SYSTEM, "bpf", flags, None)?)
}

/// Whether pinning is possible, tried as far as it leaves no trace.
pub(crate) fn try_pinning() -> Result<(), String> {
    let magic = statfs(FILE_SYSTEM).map(|system| u64::try_from(system.f_type) == Ok(MAGIC));
    match magic {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "no BPF file system at {FILE_SYSTEM}: the agent mounts it when it starts, or `mount -t bpf bpf {FILE_SYSTEM}`"
        )),
        Err(error) => Err(format!(
            "{FILE_SYSTEM}: {error}; without it enforcement ends with the agent: mount sysfs, and the BPF file system there"
        )),
    }
}

/// Removes all that agents of this state folder have pinned, and lets starts that wait go on; in words what it
/// was. No agent may be running.
///
/// # Errors
/// When a pin cannot be removed.
pub fn unpin(instance: &Instance) -> io::Result<Vec<String>> {
    let folder = instance.folder();
    if !folder.exists() {
        return Ok(Vec::new());
    }
    for layout in entries(&folder) {
        remove_layout(&layout)?;
    }
    fs::remove_dir(&folder)?;
    if let Some(parent) = folder.parent() {
        // Other agents' pins keep it.
        let _ = fs::remove_dir(parent);
    }
    Ok(vec![format!("programs and maps pinned in {}", folder.display())])
}

/// First nothing waits any more, then nothing is judged any more, then those that wait go on.
fn remove_layout(layout: &Path) -> io::Result<()> {
    let maps = layout.join(MAPS);
    if let Ok(mut life) = Life::open(&maps) {
        life.end();
    }
    for agent in agents(layout) {
        remove_folder(&agent)?;
    }
    if let Ok(holds) = MapHandle::from_pinned_path(maps.join("holds")) {
        Holds::new(holds).let_all_go();
    }
    remove_folder(&maps)?;
    fs::remove_dir(layout)
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    for pin in entries(folder) {
        fs::remove_file(pin)?;
    }
    fs::remove_dir(folder)
}

impl From<Link> for Attachment {
    fn from(link: Link) -> Attachment {
        Attachment { _link: link, pin: None }
    }
}

/// The last generation of rules that an agent of this state folder has put in force, where it is pinned: the next
/// one counts on from there, so that a record never names a rule of another set.
pub fn last_generation(instance: &Instance) -> u64 {
    let generations = entries(&instance.folder()).into_iter().filter_map(|layout| {
        let containers = MapHandle::from_pinned_path(layout.join(MAPS).join("containers")).ok()?;
        let generation =
            |key: Vec<u8>| Container::generation_in(&containers.lookup(&key, MapFlags::ANY).ok()??);
        containers.keys().filter_map(generation).max()
    });
    generations.max().unwrap_or_default()
}

/// The numbers of the sets of rules that are pinned, in force or not.
pub fn pinned_profiles(instance: &Instance) -> Vec<u32> {
    let profiles = entries(&instance.folder())
        .into_iter()
        .filter_map(|layout| MapHandle::from_pinned_path(layout.join(MAPS).join("profiles")).ok());
    profiles
        .flat_map(|map| {
            map.keys().filter_map(|key| Some(u32::from_ne_bytes(key.try_into().ok()?))).collect::<Vec<_>>()
        })
        .collect()
}
