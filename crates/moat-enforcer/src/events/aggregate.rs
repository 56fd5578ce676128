//! Groups identical records so that a loop of denials is one event a second with a count.
//!
//! The first of its kind passes at once; what follows within a second is counted and passes as one summary
//! at the end of that second. A container that produces more different kinds than its table holds has the
//! rest counted per rule. Each container has its own table, so that one container's flood takes nothing from
//! another's. Owned by the pipeline's thread; pure but for the instants it is given.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use moat_kernel::{Act, Record};

/// How long identical records are counted before they are reported again.
pub const WINDOW: Duration = Duration::from_secs(1);
/// Kinds of record that one container may have open, come what may.
const GUARANTEED: usize = 16;
/// Kinds of record that one container may have open while [`TOTAL`] is not reached.
const PER_CONTAINER: usize = 256;
/// Kinds of record open in all containers before only [`GUARANTEED`] is granted.
const TOTAL: usize = 4096;

/// One or more records that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The first of them.
    pub record: Arc<Record>,
    /// How many acts this stands for.
    pub count: u64,
    pub likeness: Likeness,
}

/// What the records of a group share; of [`Act::Repeated`] no more than the rule is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Likeness {
    /// Everything but the process id.
    Identical,
    /// Only rules, outcome and kind of act: the container's table, or a driver's, was full.
    SameRule,
}

#[derive(Debug, Default)]
pub struct Aggregator {
    hasher: RandomState,
    containers: HashMap<u64, Table>,
    /// Open groups in the order in which their windows end; every window has the same length.
    windows: VecDeque<Window>,
    open: usize,
}

/// Open groups of one container by the hash of what they share.
type Table = HashMap<u64, Open>;

#[derive(Debug)]
struct Open {
    record: Arc<Record>,
    likeness: Likeness,
    /// Acts since the last time this group was reported.
    count: u64,
}

#[derive(Debug)]
struct Window {
    ends: Instant,
    cgroup: u64,
    key: u64,
}

impl Aggregator {
    /// Takes one record; gives it back as a group when it is the first of its kind.
    pub fn offer(&mut self, record: Record, now: Instant) -> Option<Group> {
        let table = self.containers.entry(record.cgroup).or_default();
        let has_room = table.len() < GUARANTEED || (table.len() < PER_CONTAINER && self.open < TOTAL);
        let key = self.hasher.hash_one((Likeness::Identical, identity(&record)));
        let has_details = record.act != Act::Repeated;
        let is_new = match table.get_mut(&key) {
            Some(open) if identity(&open.record) == identity(&record) => {
                open.count += record.count;
                return None;
            }
            // Another record with the same hash.
            Some(_) => false,
            None => true,
        };
        let (likeness, key) = if is_new && has_room && has_details {
            (Likeness::Identical, key)
        } else {
            let key = self.hasher.hash_one((Likeness::SameRule, rules(&record)));
            if let Some(open) = table.get_mut(&key) {
                open.count += record.count;
                return None;
            }
            (Likeness::SameRule, key)
        };
        let (cgroup, count) = (record.cgroup, record.count);
        let record = Arc::new(record);
        let passes = likeness == Likeness::Identical;
        let later = if passes { 0 } else { count };
        table.insert(key, Open { record: Arc::clone(&record), likeness, count: later });
        self.open += 1;
        self.windows.push_back(Window { ends: now + WINDOW, cgroup, key });
        passes.then_some(Group { record, count, likeness })
    }

    /// When the next window ends; `None` while nothing is open.
    pub fn next_window_end(&self) -> Option<Instant> {
        self.windows.front().map(|window| window.ends)
    }

    /// Closes the windows that end by `now` and returns what was counted in them, oldest first.
    pub fn close_windows(&mut self, now: Instant) -> Vec<Group> {
        let mut groups = Vec::new();
        while self.next_window_end().is_some_and(|ends| ends <= now) {
            let Some(Window { cgroup, key, .. }) = self.windows.pop_front() else { break };
            let Some(table) = self.containers.get_mut(&cgroup) else { continue };
            let Some(open) = table.get_mut(&key) else { continue };
            if open.count > 0 {
                let count = std::mem::take(&mut open.count);
                groups.push(Group { record: Arc::clone(&open.record), count, likeness: open.likeness });
                self.windows.push_back(Window { ends: now + WINDOW, cgroup, key });
                continue;
            }
            table.remove(&key);
            self.open -= 1;
            if table.is_empty() {
                self.containers.remove(&cgroup);
            }
        }
        groups
    }

    /// Everything counted and not yet reported; nothing stays open.
    pub fn flush(&mut self) -> Vec<Group> {
        let mut groups = Vec::new();
        for Window { cgroup, key, .. } in self.windows.drain(..) {
            let open = self.containers.get_mut(&cgroup).and_then(|table| table.remove(&key));
            if let Some(Open { record, likeness, count: count @ 1.. }) = open {
                groups.push(Group { record, count, likeness });
            }
        }
        self.containers.clear();
        self.open = 0;
        groups
    }
}

/// What makes two records identical: all but the ids of the process and its parent.
fn identity(record: &Record) -> impl PartialEq + std::hash::Hash + '_ {
    let process = &record.process;
    (
        rules(record),
        &record.act,
        (process.uid, &process.executable, &process.arguments, &process.cwd, &process.parent_executable),
    )
}

/// What records of [`Likeness::SameRule`] share.
fn rules(record: &Record) -> impl PartialEq + std::hash::Hash + '_ {
    let act = match &record.act {
        Act::Exec { .. } => 0u8,
        Act::File { .. } => 1,
        Act::Connect { .. } => 2,
        Act::Syscall { .. } => 3,
        Act::Capability { .. } => 4,
        Act::Repeated => 5,
        Act::Tampering { .. } => 6,
    };
    (record.generation, record.enforced, record.audited, record.outcome, act)
}

#[cfg(test)]
mod tests;
