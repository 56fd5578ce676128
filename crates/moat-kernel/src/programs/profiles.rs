//! Profiles in the kernel's maps: one set of tables, shared by all containers whose rules mean the same.
//!
//! A profile is written whole before any container points at it and taken away after the last one has left,
//! so that a container always sees one complete set. What does not fit is taken back whole.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use moat_policy::{RuleIndex, RuleSet, Users};

use super::calls::{self, Calls};
use super::demand;
use super::layout::{AutomatonKind, automaton_key, number_key, prefix_key, text_key};
use super::object::{Loaded, io_error};
use super::on_demand::Names;
use super::tables::{ListRef, Tables, need};
use super::{LoadError, layout};
use crate::ApplyError;

/// `BPF_F_INNER_MAP`: arrays of any length may stand in the outer map.
const BPF_F_INNER_MAP: u32 = 1 << 12;

/// Changes of maps of maps at the same time; each has a thread.
const TOGETHER: usize = 32;

/// Profiles that wait to be taken away.
const UNUSED: usize = 256;

/// All profiles.
#[derive(Debug)]
pub(super) struct Profiles {
    maps: Arc<Maps>,
    /// What the driver can attach on demand.
    programs: Names,
    /// As many rules as programs can go through, where there is a limit.
    longest_loop: Option<usize>,
    known: HashMap<Key, Arc<Profile>>,
    /// Written for containers that come to use them soon.
    prepared: Vec<Arc<Profile>>,
    next: u32,
    /// To the thread that takes unused profiles away, so that no container's rules wait for that.
    unused: Option<SyncSender<Unused>>,
    eraser: Option<JoinHandle<()>>,
}

/// What can be taken away.
enum Unused {
    Profile(Arc<Profile>),
    /// Whatever an agent before us has written, but for these.
    OthersThan(HashSet<u32>),
}

/// The maps that hold profiles.
#[derive(Debug)]
struct Maps {
    heads: MapHandle,
    rules: MapHandle,
    rule_lists: MapHandle,
    automata: MapHandle,
    automaton_tables: MapHandle,
    /// By the length of their keys.
    texts: [MapHandle; 3],
    prefixes: MapHandle,
    numbers: MapHandle,
    addresses: MapHandle,
    /// Written by [`super::objects`].
    objects: MapHandle,
}

/// Containers with equal rules and equal users share a profile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    hash: String,
    users: Users,
}

impl Key {
    fn new(rules: &RuleSet, users: &Users) -> Key {
        Key { hash: rules.hash.clone(), users: users.clone() }
    }
}

/// One profile in force; the tables are kept as the list of what to take away.
pub(crate) struct Profile {
    pub id: u32,
    pub index: Arc<RuleIndex>,
    /// What its rules need attached.
    pub programs: Names,
    tables: Tables,
    watched: Watched,
}

/// How system calls are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Watched {
    /// As they begin.
    pub traced: Calls,
    /// At LSM hooks.
    pub hooked: Calls,
    pub needs: u32,
    /// Some of those that are traced are what rules are about, which a filter of the container may have refused.
    pub filtered: bool,
}

impl Watched {
    /// What the rules ask for, where these programs can be attached. Calls that change files are watched for the sake of
    /// file rules only where nothing better holds those.
    pub fn new(tables: &Tables, programs: &Names) -> Watched {
        let held = calls::held_by(&programs.iter().copied().collect::<Vec<_>>());
        let files_judged = programs.contains(FILES_JUDGED);
        let mut watched = Watched { needs: tables.needs, ..Watched::default() };
        for (index, held) in held.into_iter().enumerate() {
            watched.hooked[index] = tables.calls[index] & held;
            watched.traced[index] = tables.calls[index] & !held;
            watched.filtered |= watched.traced[index] != 0;
            if !files_judged {
                watched.traced[index] |= tables.file_calls[index];
            }
        }
        if files_judged {
            watched.needs &= !need::FILE_CALLS;
        }
        if watched.hooked.iter().any(|word| *word != 0) {
            watched.needs |= need::CALL;
        }
        watched
    }

    /// The programs that see all that.
    fn programs(&self) -> Names {
        let mut programs: Names = calls::programs(&self.hooked).collect();
        if self.traced.iter().any(|word| *word != 0) {
            programs.insert("moat_syscall");
        }
        if self.filtered {
            programs.insert("moat_refused");
        }
        programs.extend(demand::by(self.needs));
        programs
    }
}

/// Where this program is, file rules are judged before the act.
const FILES_JUDGED: &str = "moat_lsm_open";

impl Profile {
    pub fn egress(&self) -> bool {
        self.watched.needs & need::EGRESS != 0
    }

    pub fn ingress(&self) -> bool {
        self.tables.ingress
    }

    /// What the rules need to know (`enum need`).
    pub fn needs(&self) -> u32 {
        self.watched.needs
    }

    /// Names and paths in the rules.
    pub(super) fn texts(&self) -> &[(layout::TextKind, Vec<u8>, ListRef)] {
        &self.tables.texts
    }
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Profiles {
    /// `programs` are those that are attached always and those that can be on demand.
    pub fn new(loaded: &Loaded, programs: Names) -> Result<Profiles, LoadError> {
        let maps = Arc::new(Maps {
            heads: loaded.map("profiles")?,
            rules: loaded.map("rules")?,
            rule_lists: loaded.map("rule_lists")?,
            automata: loaded.map("automata")?,
            automaton_tables: loaded.map("automaton_tables")?,
            texts: [loaded.map("short_texts")?, loaded.map("middle_texts")?, loaded.map("texts")?],
            prefixes: loaded.map("prefixes")?,
            numbers: loaded.map("numbers")?,
            addresses: loaded.map("addresses")?,
            objects: loaded.map("objects")?,
        });
        // What an agent before us has written is in force until we have written our own.
        let first = maps.ids().into_iter().max().map_or(1, next_id);
        let (unused, incoming) = sync_channel::<Unused>(UNUSED);
        let eraser = std::thread::Builder::new().name(String::from("moat-erase")).spawn({
            let maps = Arc::clone(&maps);
            move || {
                while let Ok(one) = incoming.recv() {
                    let mut profiles = Vec::new();
                    for unused in std::iter::once(one).chain(incoming.try_iter()) {
                        match unused {
                            Unused::Profile(profile) => profiles.push(profile),
                            Unused::OthersThan(kept) => maps.erase_below(first, &kept),
                        }
                    }
                    maps.erase(profiles.iter().map(|profile| &**profile));
                }
            }
        })?;
        let (unused, eraser) = (Some(unused), Some(eraser));
        let longest_loop = loaded.longest_loop();
        Ok(Profiles {
            maps,
            programs,
            longest_loop,
            known: HashMap::new(),
            prepared: Vec::new(),
            next: first,
            unused,
            eraser,
        })
    }

    /// Takes away what an agent before us has written, but for the profiles that are `in_force`.
    pub fn forget_others(&self, in_force: HashSet<u32>) {
        if let Some(unused) = &self.unused {
            let _ = unused.send(Unused::OthersThan(in_force));
        }
    }

    /// Writes the profiles of all these rules at once, which takes hardly longer than one: the kernel's waits are the
    /// same for all. They stay until [`Profiles::put`] has given them out, or until the next call.
    pub fn prepare(&mut self, wanted: &[(Arc<RuleSet>, Users)]) {
        self.prepared.clear();
        let mut new: HashMap<Key, Profile> = HashMap::new();
        for (rules, users) in wanted {
            let key = Key::new(rules, users);
            if !self.known.contains_key(&key)
                && !new.contains_key(&key)
                && let Ok(profile) = self.compile(rules, users)
            {
                new.insert(key, profile);
            }
        }
        if self.maps.write(new.values()).is_err() {
            // Some of it may fit: that is found out, and told, one by one.
            self.maps.erase(new.values());
            return;
        }
        for (key, profile) in new {
            let profile = Arc::new(profile);
            self.prepared.push(Arc::clone(&profile));
            self.known.insert(key, profile);
        }
    }

    /// The profile of these rules, written to the kernel unless it is there already.
    pub fn put(&mut self, rules: &Arc<RuleSet>, users: &Users) -> Result<Arc<Profile>, ApplyError> {
        let key = Key::new(rules, users);
        if let Some(profile) = self.known.get(&key) {
            self.prepared.retain(|prepared| !Arc::ptr_eq(prepared, profile));
            return Ok(Arc::clone(profile));
        }
        let profile = self.compile(rules, users)?;
        if let Err(error) = self.maps.write([&profile]) {
            self.maps.erase([&profile]);
            return Err(full(rules, &error));
        }
        let profile = Arc::new(profile);
        self.known.insert(key, Arc::clone(&profile));
        Ok(profile)
    }

    fn compile(&mut self, rules: &Arc<RuleSet>, users: &Users) -> Result<Profile, ApplyError> {
        if let (Some(longest), Some(rule)) = (self.longest_loop, rules.rules.first())
            && rules.rules.len() > longest
        {
            return Err(ApplyError::DoesNotFit {
                policy: rule.policy.to_string(),
                rule: rule.rule.to_string(),
                what: format!("programs on this kernel go through at most {longest} rules of a container"),
            });
        }
        let tables = Tables::compile(rules, users)?;
        let index = RuleIndex::new(Arc::clone(rules), users)
            .map_err(|error| ApplyError::Kernel(io::Error::other(error.to_string())))?;
        let watched = Watched::new(&tables, &self.programs);
        let mut programs = watched.programs();
        programs.extend(self.programs.iter().filter(|program| demand::by_any_rule(program)));
        programs.retain(|program| self.programs.contains(program));
        let profile = Profile { id: self.next, index: Arc::new(index), programs, tables, watched };
        self.next = next_id(self.next);
        Ok(profile)
    }

    /// Takes away the profiles that nobody uses any more.
    pub fn sweep(&mut self) {
        let unused: Vec<Key> = self
            .known
            .iter()
            .filter(|(_, profile)| Arc::strong_count(profile) == 1)
            .map(|(key, _)| key.clone())
            .collect();
        for key in unused {
            if let (Some(profile), Some(unused)) = (self.known.remove(&key), &self.unused) {
                // Without its thread they go with the maps.
                let _ = unused.send(Unused::Profile(profile));
            }
        }
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }
}

impl Drop for Profiles {
    fn drop(&mut self) {
        self.unused = None;
        if self.eraser.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that takes unused rules away panicked");
        }
    }
}

/// 0 is no profile.
fn next_id(id: u32) -> u32 {
    id.checked_add(1).unwrap_or(1)
}

impl Maps {
    /// The maps that have a row or more a profile, and where in their keys its number is; those that are written
    /// first come first.
    fn all(&self) -> [(&MapHandle, usize); 12] {
        let [short_texts, middle_texts, texts] = &self.texts;
        [
            (&self.automata, 4),
            (&self.rules, 0),
            (&self.rule_lists, 0),
            (&self.automaton_tables, 4),
            (short_texts, 0),
            (middle_texts, 0),
            (texts, 0),
            (&self.prefixes, 4),
            (&self.numbers, 0),
            (&self.addresses, 4),
            (&self.objects, 0),
            (&self.heads, 0),
        ]
    }

    /// Profiles of which there is anything.
    fn ids(&self) -> HashSet<u32> {
        let [automata, rules, rule_lists, ..] = self.all();
        [automata, rules, rule_lists]
            .into_iter()
            .flat_map(|(map, at)| map.keys().filter_map(move |key| id_in(&key, at)))
            .collect()
    }

    /// Deletes whatever there is of profiles below `first`, but for those kept.
    fn erase_below(&self, first: u32, kept: &HashSet<u32>) {
        for (map, at) in self.all().into_iter().rev() {
            // Listed first: deleting while listing begins anew.
            let keys: Vec<_> = map.keys().collect();
            for key in keys {
                if id_in(&key, at).is_some_and(|id| id < first && !kept.contains(&id)) {
                    let _ = map.delete(&key);
                }
            }
        }
    }

    /// Writes profiles, their arrays first and all at once.
    fn write<'a>(&'a self, profiles: impl IntoIterator<Item = &'a Profile>) -> Result<(), libbpf_rs::Error> {
        let mut arrays: Vec<Change<'_>> = Vec::new();
        let mut numbered = Vec::new();
        for profile in profiles {
            let (outer, tables) = (profile.id.to_ne_bytes(), &profile.tables);
            let mut groups = Groups::default();
            arrays.push(Box::new(move || {
                let rules: Vec<[u8; 40]> = tables.rules.iter().map(super::tables::Rule::bytes).collect();
                put_array(&self.rules, &outer, "moat_rules", &rules)
            }));
            arrays.push(Box::new(move || {
                put_array(&self.rule_lists, &outer, "moat_lists", &rows(&tables.lists))
            }));
            for (kind, automaton) in &tables.automata {
                let key = automaton_key(profile.id, *kind, groups.next(*kind));
                self.automata.update(&key, &automaton.header, MapFlags::ANY)?;
                arrays.push(Box::new(move || {
                    put_array(&self.automaton_tables, &key, "moat_automaton", &rows(&automaton.words))
                }));
            }
            numbered.push((profile, groups));
        }
        together(arrays)?;
        numbered.into_iter().try_for_each(|(profile, groups)| self.write_rows(profile, groups))
    }

    /// Writes what needs no waiting, the head last.
    fn write_rows(&self, profile: &Profile, groups: Groups) -> Result<(), libbpf_rs::Error> {
        let (id, tables) = (profile.id, &profile.tables);
        let any = MapFlags::ANY;
        for (kind, text, list) in &tables.texts {
            let key = text_key(id, *kind, text);
            for texts in self.texts_by(&key) {
                texts.update(&key, &list.bytes(), any)?;
            }
        }
        for (kind, prefix, list) in &tables.prefixes {
            self.prefixes.update(&prefix_key(id, *kind, prefix), &list.bytes(), any)?;
        }
        for (kind, number, list) in &tables.numbers {
            self.numbers.update(&number_key(id, *kind, *number), &list.bytes(), any)?;
        }
        for (network, list) in &tables.addresses {
            self.addresses.update(&layout::address_key(id, network), &list.bytes(), any)?;
        }
        self.heads.update(&id.to_ne_bytes(), &head(tables, groups, &profile.watched), any)
    }

    /// The map whose keys have this length.
    fn texts_by(&self, key: &[u8]) -> impl Iterator<Item = &MapHandle> {
        self.texts.iter().filter(move |map| map.key_size() as usize == key.len())
    }

    /// Deletes whatever of the profiles is there; what is not there needs no deleting.
    fn erase<'a>(&'a self, profiles: impl IntoIterator<Item = &'a Profile>) {
        let mut arrays: Vec<Change<'_>> = Vec::new();
        for profile in profiles {
            let (id, tables) = (profile.id, &profile.tables);
            let outer = id.to_ne_bytes();
            let _ = self.heads.delete(&outer);
            for (kind, text, _) in &tables.texts {
                let key = text_key(id, *kind, text);
                for texts in self.texts_by(&key) {
                    let _ = texts.delete(&key);
                }
            }
            for (kind, prefix, _) in &tables.prefixes {
                let _ = self.prefixes.delete(&prefix_key(id, *kind, prefix));
            }
            for (kind, number, _) in &tables.numbers {
                let _ = self.numbers.delete(&number_key(id, *kind, *number));
            }
            for (network, _) in &tables.addresses {
                let _ = self.addresses.delete(&layout::address_key(id, network));
            }
            let mut groups = Groups::default();
            for (kind, _) in &tables.automata {
                let key = automaton_key(id, *kind, groups.next(*kind));
                let _ = self.automata.delete(&key);
                arrays.push(Box::new(move || self.automaton_tables.delete(&key)));
            }
            arrays.push(Box::new(move || self.rule_lists.delete(&outer)));
            arrays.push(Box::new(move || self.rules.delete(&outer)));
        }
        // Nothing to be done about one that is not there.
        let _ = together(arrays);
    }
}

/// The profile's number in a key.
fn id_in(key: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(key.get(at..at + 4)?.try_into().ok()?))
}

/// How many automata of each kind there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Groups(u64);

impl Groups {
    /// The number of the next automaton of this kind.
    pub fn next(&mut self, kind: AutomatonKind) -> usize {
        let shift = 8 * kind as u32;
        let group = self.0 >> shift & 255;
        self.0 += 1 << shift;
        group as usize
    }
}

/// `struct profile`.
pub(super) fn head(tables: &Tables, groups: Groups, watched: &Watched) -> [u8; 160] {
    let mut bytes = [0; 160];
    bytes[0..4].copy_from_slice(&watched.needs.to_ne_bytes());
    // Of the kinds that come in several.
    let groups = groups.0 as u32;
    let (programs, files) = (tables.unplaced_programs, tables.unplaced_files);
    let words = [tables.always.offset, tables.always.count, groups];
    let unplaced = [programs.offset, programs.count, files.offset, files.count];
    for (index, word) in words.iter().chain(&unplaced).enumerate() {
        bytes[4 + index * 4..8 + index * 4].copy_from_slice(&word.to_ne_bytes());
    }
    for (index, word) in watched.traced.iter().chain(&watched.hooked).enumerate() {
        bytes[32 + index * 8..40 + index * 8].copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// One change of a map of maps.
type Change<'a> = Box<dyn FnOnce() -> Result<(), libbpf_rs::Error> + Send + 'a>;

/// Makes all changes, at the same time: for each the kernel waits some milliseconds until no program uses the array that
/// was there (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c), and those who wait together wait once. The first error,
/// when all are made.
fn together(changes: Vec<Change<'_>>) -> Result<(), libbpf_rs::Error> {
    let mut changes = changes.into_iter().peekable();
    let mut result = Ok(());
    while changes.peek().is_some() {
        let some = changes.by_ref().take(TOGETHER);
        result = result.and(std::thread::scope(|scope| {
            let threads: Vec<_> = some.map(|change| scope.spawn(change)).collect();
            let panicked = || Err(io::Error::other("a change of the kernel's tables panicked").into());
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| panicked()))
                .fold(Ok(()), Result::and)
        }));
    }
    result
}

fn rows(words: &[u32]) -> Vec<[u8; 4]> {
    words.iter().map(|word| word.to_ne_bytes()).collect()
}

/// Makes an array with these rows and puts it into a map of maps.
fn put_array<const SIZE: usize>(
    outer: &MapHandle,
    key: &[u8],
    name: &str,
    rows: &[[u8; SIZE]],
) -> Result<(), libbpf_rs::Error> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        map_flags: BPF_F_INNER_MAP,
        ..Default::default()
    };
    let length = rows.len().max(1) as u32;
    let array = MapHandle::create(MapType::Array, Some(name), 4, SIZE as u32, length, &options)?;
    if !rows.is_empty() {
        let keys: Vec<u8> = (0..length).flat_map(u32::to_ne_bytes).collect();
        array.update_batch(&keys, rows.as_flattened(), length, MapFlags::ANY, MapFlags::ANY)?;
    }
    outer.update(key, &(array.as_fd().as_raw_fd() as u32).to_ne_bytes(), MapFlags::ANY)
}

/// A kernel map that is full is a set that does not fit; it is named by its first rule.
fn full(rules: &RuleSet, error: &libbpf_rs::Error) -> ApplyError {
    match (error.kind(), rules.rules.first()) {
        (libbpf_rs::ErrorKind::Other | libbpf_rs::ErrorKind::OutOfMemory, Some(rule)) => {
            ApplyError::DoesNotFit {
                policy: rule.policy.to_string(),
                rule: rule.rule.to_string(),
                what: format!(
                    "the kernel's tables are full ({} rules in this set): {error}",
                    rules.rules.len()
                ),
            }
        }
        _ => ApplyError::Kernel(io_error(error)),
    }
}
