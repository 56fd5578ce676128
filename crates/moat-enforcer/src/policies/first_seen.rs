//! When this node first saw each policy, kept over restarts: durations in `enforceAfter` count from then.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

const FILE: &str = "first-seen.json";

#[derive(Debug)]
pub struct FirstSeen {
    path: PathBuf,
    times: BTreeMap<String, Timestamp>,
}

impl FirstSeen {
    /// Reads what the last agent left in the state folder. A file that cannot be understood is an error: to
    /// begin anew would put off enforcement without anybody having asked for it.
    pub fn load(state: &Path) -> io::Result<FirstSeen> {
        let path = state.join(FILE);
        let times = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("{}: {error}; remove the file to count from now on", path.display());
                io::Error::new(io::ErrorKind::InvalidData, message)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(FirstSeen { path, times })
    }

    pub fn time(&self, policy: &str) -> Option<Timestamp> {
        self.times.get(policy).copied()
    }

    /// Notes the policies that are new, and forgets those that are gone if `forget`. Writes only changes.
    pub fn note<'a>(
        &mut self,
        policies: impl Iterator<Item = &'a str>,
        now: Timestamp,
        forget: bool,
    ) -> io::Result<()> {
        let present: BTreeSet<&str> = policies.collect();
        let before = self.times.clone();
        for policy in &present {
            self.times.entry((*policy).to_owned()).or_insert(now);
        }
        if forget {
            self.times.retain(|policy, _| present.contains(policy.as_str()));
        }
        if self.times == before { Ok(()) } else { self.save() }
    }

    /// Replaces the file in one step, so that a crash leaves the old or the new one.
    fn save(&self) -> io::Result<()> {
        let temporary = self.path.with_extension("json.new");
        let mut file = File::create(&temporary)?;
        file.write_all(&serde_json::to_vec_pretty(&self.times)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &self.path)?;
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_stays_over_restarts_until_the_policy_is_gone() {
        let state = tempfile::tempdir().unwrap();
        let (then, later) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(1_000_000).unwrap());
        FirstSeen::load(state.path()).unwrap().note(["a", "b"].into_iter(), then, true).unwrap();

        let mut seen = FirstSeen::load(state.path()).unwrap();
        seen.note(["a", "c"].into_iter(), later, false).unwrap();
        assert_eq!((seen.time("a"), seen.time("b"), seen.time("c")), (Some(then), Some(then), Some(later)));
        seen.note(["c"].into_iter(), later, true).unwrap();

        let mut seen = FirstSeen::load(state.path()).unwrap();
        assert_eq!((seen.time("a"), seen.time("c")), (None, Some(later)));
        seen.note(["a", "c"].into_iter(), later, true).unwrap();
        assert_eq!(seen.time("a"), Some(later));
    }

    #[test]
    fn a_damaged_file_is_named_and_not_taken_for_an_empty_one() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join(FILE), "{\"a\": ").unwrap();
        let message = FirstSeen::load(state.path()).unwrap_err().to_string();
        assert!(message.contains(FILE) && message.contains("remove the file"), "{message}");
    }
}
