//! Keeps a flood of like acts from being a flood of records: the first is reported at once, the later ones once a second
//! with their count.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use crate::record::{Act, Outcome, Record};

/// How long like acts are summed up.
pub(super) const WINDOW: Duration = Duration::from_secs(1);

/// Different acts told apart in one window and container. Further ones are counted under the first of them for the same
/// rules, so that counts stay true while paths do not.
const LIMIT: usize = 256;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub enforced: Option<usize>,
    pub audited: Option<usize>,
    pub outcome: Outcome,
    /// `None` for those beyond [`LIMIT`].
    pub act: Option<Act>,
    pub executable: Vec<u8>,
}

/// What one container did in this window.
#[derive(Debug, Default)]
pub(super) struct Flood {
    acts: HashMap<Key, Record>,
    since: Option<Instant>,
}

impl Flood {
    /// Counts one act. `record` makes what is reported of its kind, only when it is the first; that is returned, to be
    /// reported now.
    pub fn count(&mut self, mut key: Key, now: Instant, record: impl FnOnce() -> Record) -> Option<Record> {
        self.since.get_or_insert(now);
        if self.acts.len() >= LIMIT && !self.acts.contains_key(&key) {
            key.act = None;
            key.executable = Vec::new();
        }
        match self.acts.entry(key) {
            Entry::Occupied(mut known) => {
                known.get_mut().count += 1;
                None
            }
            Entry::Vacant(vacant) => {
                let first = record();
                vacant.insert(Record { count: 0, ..first.clone() });
                Some(first)
            }
        }
    }

    /// When [`Flood::flush`] is due; `None` while there is nothing to report.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + WINDOW)
    }

    /// Ends the window: the sums of all acts that came again, and of the rest nothing.
    pub fn flush(&mut self, now: Instant) -> impl Iterator<Item = Record> {
        let again: Vec<Record> = self
            .acts
            .values_mut()
            .filter(|record| record.count > 0)
            .map(|record| {
                let sum = record.clone();
                record.count = 0;
                sum
            })
            .collect();
        if again.is_empty() {
            self.acts.clear();
            self.since = None;
        } else {
            // Those that came again are still under way: their next is no first.
            let keep: std::collections::HashSet<_> = again.iter().map(|record| record.act.clone()).collect();
            self.acts.retain(|_, record| keep.contains(&record.act));
            self.since = Some(now);
        }
        again.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use moat_event::FileOperation;

    use super::*;
    use crate::record::RawProcess;

    fn put(flood: &mut Flood, now: Instant, name: usize) -> Option<Record> {
        let act = Act::File { path: format!("/etc/{name}").into_bytes(), operation: FileOperation::Read };
        let key = Key {
            enforced: Some(0),
            audited: None,
            outcome: Outcome::Denied,
            act: Some(act.clone()),
            executable: b"/bin/cat".to_vec(),
        };
        let record = || Record {
            cgroup: 1,
            generation: 1,
            enforced: Some(0),
            audited: None,
            outcome: Outcome::Denied,
            process: RawProcess::default(),
            act,
            count: 1,
        };
        flood.count(key, now, record)
    }

    #[test]
    fn the_first_is_reported_and_the_rest_are_summed() {
        let (mut flood, now) = (Flood::default(), Instant::now());
        assert_eq!(put(&mut flood, now, 1).unwrap().count, 1);
        for _ in 0..999 {
            assert_eq!(put(&mut flood, now, 1), None);
        }
        assert!(put(&mut flood, now, 2).is_some());
        let sums: Vec<u64> = flood.flush(now).map(|record| record.count).collect();
        assert_eq!(sums, [999]);
        assert_eq!(put(&mut flood, now, 1), None, "still the same flood");
        assert_eq!(flood.flush(now).map(|record| record.count).sum::<u64>(), 1);
        assert_eq!(flood.flush(now).count(), 0);
        assert_eq!(flood.due(), None);
        assert!(put(&mut flood, now, 1).is_some(), "a new flood");
    }

    #[test]
    fn memory_is_bounded_and_no_act_is_uncounted() {
        let (mut flood, now) = (Flood::default(), Instant::now());
        let mut counted = 0;
        for name in 0..10_000 {
            counted += put(&mut flood, now, name).map_or(0, |record| record.count);
        }
        assert!(flood.acts.len() <= LIMIT + 1);
        counted += flood.flush(now).map(|record| record.count).sum::<u64>();
        assert_eq!(counted, 10_000);
    }
}
