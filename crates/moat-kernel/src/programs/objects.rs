//! What ruled files are: a rule holds an object, not only a name.
//!
//! When rules come into force, every exact path in them is looked up in the container, and so is every program in the usual
//! directories that they call by its base name. The programs then know the file again under another name: a hard link,
//! a renamed file. Multi-call programs, dynamic loaders and interpreters are known again as well.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use moat_policy::is_multicall;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, StatxFlags, open, openat2, statx};

use super::LoadError;
use super::layout::{OBJECT_NAMES, TextKind, kernel_device, object_key};
use super::object::{Loaded, io_error};
use super::profiles::Profile;
use super::tables::{ListRef, need};
use crate::driver::ApplyError;

/// Where programs are called by their names: what shells look through, and where loaders lie.
const DIRECTORIES: [&str; 8] =
    ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/lib", "/lib64"];

/// Bits of `enum runs` in `bpf/maps.h`.
mod runs {
    pub const LOADER: u32 = 1;
    pub const INTERPRETER: u32 = 2;
    pub const APPLETS: u32 = 4;
}

/// The interpreters whose scripts are judged, by the beginnings of their names (`runs` in `bpf/exec.h`).
const INTERPRETERS: [&str; 13] =
    ["bash", "dash", "ash", "hush", "ksh", "mksh", "zsh", "python", "perl", "ruby", "node", "php", "lua"];

type Key = [u8; 24];

/// The programs' map of objects, and what each container has in it.
#[derive(Debug)]
pub(super) struct Objects {
    map: MapHandle,
    changes: MapHandle,
    containers: HashMap<u64, Known>,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    entries: BTreeMap<Key, ListRef>,
    /// Keep inode numbers from being given to other files. Only of the container's own root: elsewhere they would keep a
    /// volume busy.
    pins: Vec<OwnedFd>,
}

impl Objects {
    pub fn new(loaded: &Loaded) -> Result<Objects, LoadError> {
        Ok(Objects {
            map: loaded.map("objects")?,
            changes: loaded.map("object_changes")?,
            containers: HashMap::new(),
        })
    }

    /// Looks up what the profile's rules name in the container, whose root has this device. What was in force before
    /// stays until [`Objects::forget`].
    pub fn put(
        &mut self,
        cgroup: u64,
        init_pid: u32,
        device: u64,
        profile: Option<&Profile>,
    ) -> Result<Option<Known>, ApplyError> {
        let mut known = Known::default();
        if let Some(profile) = profile {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = open(format!("/proc/{init_pid}/root"), flags, Mode::empty())
                .map_err(|_| ApplyError::Vanished)?;
            let mut search = Search { root, device, profile, found: Vec::new(), pins: Vec::new() };
            search.ruled_paths();
            if profile.needs() & need::EXEC != 0 {
                search.programs();
            }
            known = search.finish();
        }
        for (key, list) in &known.entries {
            self.map
                .update(key, &list.bytes(), MapFlags::ANY)
                .map_err(|error| ApplyError::Kernel(io_error(&error)))?;
        }
        Ok(self.containers.insert(cgroup, known))
    }

    pub fn release(&mut self, cgroup: u64) {
        let before = self.containers.remove(&cgroup);
        self.forget(cgroup, before.as_ref());
    }

    /// Takes away what is in force no more.
    pub fn forget(&mut self, cgroup: u64, before: Option<&Known>) {
        let now = self.containers.get(&cgroup);
        for key in before.iter().flat_map(|known| known.entries.keys()) {
            if now.is_none_or(|now| !now.entries.contains_key(key)) {
                // It went with the map, or was never written.
                let _ = self.map.delete(key);
            }
        }
        let zero = 0u32.to_ne_bytes();
        let count = self.changes.lookup(&zero, MapFlags::ANY).ok().flatten();
        let count = count.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
        if let Err(error) = self.changes.update(&zero, &count.wrapping_add(1).to_ne_bytes(), MapFlags::ANY) {
            tracing::warn!(%error, "programs may take a file for what it was before");
        }
    }
}

struct Search<'a> {
    root: OwnedFd,
    device: u64,
    profile: &'a Profile,
    found: Vec<Found>,
    pins: Vec<OwnedFd>,
}

/// A file under one of its names.
struct Found {
    kind: TextKind,
    inode: u64,
    device: u32,
    list: ListRef,
    /// It is called as multi-call programs are.
    multicall: bool,
}

impl Search<'_> {
    /// The files at exact paths in rules. One that leads nowhere is nothing to hold.
    fn ruled_paths(&mut self) {
        for (kind, path, list) in self.profile.texts() {
            if matches!(kind, TextKind::Path | TextKind::File) && list.match_count > 0 {
                self.add(path, &[(*kind, *list)]);
            }
        }
    }

    /// The programs that rules mean by their names.
    fn programs(&mut self) {
        let names: HashMap<&[u8], ListRef> = self
            .profile
            .texts()
            .iter()
            .filter(|(kind, _, list)| *kind == TextKind::Name && list.match_count > 0)
            .map(|(_, name, list)| (name.as_slice(), *list))
            .collect();
        for directory in DIRECTORIES {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV;
            let Ok(opened) = openat2(&self.root, directory, flags, Mode::empty(), within) else { continue };
            let Ok(entries) = Dir::read_from(&opened) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_bytes();
                let ruled = names.get(name).map(|list| (TextKind::Name, *list));
                let runs = program_runs(name);
                // A link to another name is not that program: busybox has hundreds.
                let link = entry.file_type() == FileType::Symlink && runs != runs::LOADER;
                if entry.file_type() == FileType::Directory || link || ruled.is_none() && runs == 0 {
                    continue;
                }
                let kind = (runs != 0).then_some((TextKind::Runs, ListRef::mask(u64::from(runs))));
                let found: Vec<_> = ruled.into_iter().chain(kind).collect();
                let path = [directory.as_bytes(), b"/", name].concat();
                self.add(&path, &found);
            }
        }
    }

    fn add(&mut self, path: &[u8], found: &[(TextKind, ListRef)]) {
        let open = |resolve| {
            let path = OsStr::from_bytes(path);
            openat2(&self.root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
        };
        let (file, own) = match open(ResolveFlags::IN_ROOT | ResolveFlags::NO_XDEV) {
            Ok(file) => (file, true),
            Err(rustix::io::Errno::XDEV) => match open(ResolveFlags::IN_ROOT) {
                Ok(file) => (file, false),
                Err(_) => return,
            },
            Err(_) => return,
        };
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let Ok(status) = statx(file.as_fd(), c"", flags, StatxFlags::INO | StatxFlags::TYPE) else { return };
        if FileType::from_raw_mode(status.stx_mode.into()) == FileType::Directory {
            return;
        }
        // An overlay tells the device of the layer, the programs see that of the whole.
        let device = if own {
            kernel_device(self.device)
        } else {
            kernel_device(rustix::fs::makedev(status.stx_dev_major, status.stx_dev_minor))
        };
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let (inode, multicall) = (status.stx_ino, is_multicall(name));
        let found = found.iter().map(|&(kind, list)| Found { kind, inode, device, list, multicall });
        self.found.extend(found);
        if own {
            self.pins.push(file);
        }
    }

    fn finish(self) -> Known {
        let applets: HashSet<(u64, u32)> = self
            .found
            .iter()
            .filter(|found| found.kind == TextKind::Runs && found.multicall)
            .map(|found| (found.inode, found.device))
            .collect();
        let mut known = Known::default();
        known.pins.extend(self.pins);
        for Found { kind, inode, device, list, multicall } in self.found {
            // An applet that is a hard link is all the others by inode.
            if kind != TextKind::File && !multicall && applets.contains(&(inode, device)) {
                continue;
            }
            let key = |place| object_key(self.profile.id, kind, inode, device, place);
            let free = (0..OBJECT_NAMES)
                .map(key)
                .find(|key| known.entries.get(key).is_none_or(|before| *before == list));
            if let Some(key) = free {
                known.entries.insert(key, list);
            } else {
                tracing::warn!(
                    inode,
                    "rules have more than {OBJECT_NAMES} names for one file: under others it is not known by all"
                );
            }
        }
        known
    }
}

/// What a program of this name runs besides itself.
fn program_runs(name: &[u8]) -> u32 {
    let text = |beginnings: &[&str]| beginnings.iter().any(|text| name.starts_with(text.as_bytes()));
    if is_multicall(name) {
        runs::APPLETS
    } else if text(&["ld-", "ld.so", "ld64.so", "libc.so"]) {
        runs::LOADER
    } else if name == b"sh" || text(&INTERPRETERS) {
        runs::INTERPRETER
    } else {
        0
    }
}
