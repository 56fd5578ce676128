//! Sums: what was done in which place, how often, and from when to when.
//!
//! Everything is bounded. The table has so much room; and of each place so many different things are told within a day, that
//! no container can fill the console's inventory: arguments that are different each time are left out at some point, and
//! what is still different then is lost.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use moat_event::Workload;
use moat_policy::Attempt;
use moat_wire::gateway::{ActivityReport, MAX_ACTIVITY};

/// Different sums at once, and the memory that they may take, about.
const SUMS: usize = 20_000;
const BYTES: usize = 16 << 20;
/// Different things of one place within a day, and executions of one program among them that are told with arguments.
const DIFFERENT: usize = 2000;
const WITH_ARGUMENTS: usize = 100;
/// Places within a day.
const PLACES: usize = 1000;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Containers that do the same work: those of one name in the pods of one workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    namespace: String,
    kind: String,
    name: String,
    container: String,
}

impl Place {
    pub fn of(workload: &Workload) -> Place {
        let Workload { namespace, kind, name, container, .. } = workload.clone();
        Place { namespace, kind, name, container }
    }
}

type Key = (Arc<Place>, Attempt);

#[derive(Debug, Clone, Copy)]
struct Sum {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

/// What of a place was told today.
#[derive(Debug, Default)]
struct Told {
    /// Hashes.
    different: HashSet<u64>,
    with_arguments: HashMap<String, usize>,
}

#[derive(Debug, Default)]
pub struct Table {
    sums: HashMap<Key, Sum>,
    bytes: usize,
    sent: Vec<(Key, Sum)>,
    told: HashMap<Arc<Place>, Told>,
    since: Timestamp,
    hashes: RandomState,
}

impl Table {
    /// Returns how much of `count` is lost.
    pub fn add(&mut self, place: Place, attempt: Attempt, count: u64, now: Timestamp) -> u64 {
        if now.duration_since(self.since) >= DAY || now < self.since {
            self.told.clear();
            self.since = now;
        }
        let place = match self.told.get_key_value(&place) {
            Some((known, _)) => Arc::clone(known),
            None if self.told.len() < PLACES => Arc::new(place),
            None => return count,
        };
        let told = self.told.entry(Arc::clone(&place)).or_default();
        let Some(attempt) = told.tell(attempt, &self.hashes) else { return count };
        self.sum((place, attempt), Sum { count, first: now, last: now })
    }

    fn sum(&mut self, key: Key, more: Sum) -> u64 {
        if let Some(sum) = self.sums.get_mut(&key) {
            sum.count += more.count;
            sum.first = sum.first.min(more.first);
            sum.last = sum.last.max(more.last);
            return 0;
        }
        let bytes = size(&key.1);
        if self.sums.len() >= SUMS || self.bytes + bytes > BYTES {
            return more.count;
        }
        self.bytes += bytes;
        self.sums.insert(key, more);
        0
    }

    /// Reports to send, as JSON, and how many acts are in none because they are too long. Until [`Table::settle`], they
    /// are neither sent again nor forgotten.
    pub fn next_message(&mut self, size_limit: usize) -> (Vec<Vec<u8>>, u64) {
        let (mut message, mut size, mut lost) = (Vec::new(), 0, 0);
        while size < size_limit {
            let Some(key) = self.sums.keys().next().cloned() else { break };
            let Some(sum) = self.sums.remove(&key) else { break };
            self.bytes -= self::size(&key.1);
            match serde_json::to_vec(&report(&key, sum)) {
                Ok(json) if json.len() <= MAX_ACTIVITY => {
                    size += json.len();
                    message.push(json);
                    self.sent.push((key, sum));
                }
                _ => lost += sum.count,
            }
        }
        (message, lost)
    }

    /// What was sent is stored, or is added to what is to be sent; returns how much of it is lost.
    pub fn settle(&mut self, stored: bool) -> u64 {
        let sent = std::mem::take(&mut self.sent);
        if stored { 0 } else { sent.into_iter().map(|(key, sum)| self.sum(key, sum)).sum() }
    }

    /// How much is to be sent.
    pub fn acts(&self) -> u64 {
        self.sums.values().map(|sum| sum.count).sum()
    }
}

impl Told {
    /// As what it may be told today; `None`: not at all.
    fn tell(&mut self, mut attempt: Attempt, hashes: &RandomState) -> Option<Attempt> {
        if self.different.contains(&hashes.hash_one(&attempt)) {
            return Some(attempt);
        }
        let full = self.different.len() >= DIFFERENT;
        if let Attempt::Exec { path, arguments: arguments @ Some(_), .. } = &mut attempt {
            if full || self.with_arguments.get(path).is_some_and(|different| *different >= WITH_ARGUMENTS) {
                *arguments = None;
            } else {
                *self.with_arguments.entry(path.clone()).or_default() += 1;
            }
        }
        let hash = hashes.hash_one(&attempt);
        if !self.different.contains(&hash) {
            if full {
                return None;
            }
            self.different.insert(hash);
        }
        Some(attempt)
    }
}

fn report((place, attempt): &Key, sum: Sum) -> ActivityReport {
    let Place { namespace, kind, name, container } = Place::clone(place);
    ActivityReport {
        namespace,
        workload_kind: kind,
        workload_name: name,
        container,
        attempt: attempt.clone(),
        count: sum.count,
        first_seen: sum.first,
        last_seen: sum.last,
    }
}

/// What a sum of it takes in memory, about.
fn size(attempt: &Attempt) -> usize {
    let texts = match attempt {
        Attempt::Exec { path, arguments, parents, .. } => {
            let lists = arguments.iter().flatten().chain(parents);
            path.len() + lists.map(|text| text.len() + size_of::<String>()).sum::<usize>()
        }
        _ => 0,
    };
    texts + size_of::<(Key, Sum)>()
}

#[cfg(test)]
mod tests;
