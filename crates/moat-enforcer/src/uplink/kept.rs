//! The console's policies as this node keeps them: a file each, which the watcher reads as it reads the node's
//! own, and an index that says which version of the set they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use moat_wire::gateway::proto;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::policies::{ConsoleSet, FromConsole};

const FOLDER: &str = "policies";
const INDEX: &str = "policies.json";
/// Longest name of which a file can be made.
const MAX_NAME: usize = 240;

#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    index: Index,
    set: watch::Sender<Arc<ConsoleSet>>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    set: i64,
    policies: BTreeMap<String, KeptPolicy>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeptPolicy {
    pub revision: i64,
    pub since: Timestamp,
    /// Why no file could be made of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Kept {
    /// What was kept in that folder, made if missing.
    pub fn open(folder: &Path) -> io::Result<Kept> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join(FOLDER))?;
        let index = match fs::read(folder.join(INDEX)) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                // The files stay in force; the console sends the whole set again.
                tracing::error!(%error, "the index of the console's policies cannot be read, asking for all of them again");
                Index::default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(error),
        };
        let set = watch::Sender::new(Arc::new(index.published()));
        Ok(Kept { folder: folder.to_owned(), index, set })
    }

    /// For the watcher.
    pub fn source(&self) -> FromConsole {
        FromConsole { folder: self.files(), set: self.set.subscribe() }
    }

    /// Where the files are.
    pub fn files(&self) -> PathBuf {
        self.folder.join(FOLDER)
    }

    /// The version of the set; 0 where there is none.
    pub fn set(&self) -> i64 {
        self.index.set
    }

    pub fn policies(&self) -> &BTreeMap<String, KeptPolicy> {
        &self.index.policies
    }

    /// Takes a whole set, or what changes the one that is kept. Files first, the index last: after a crash in
    /// between, the console sends the same changes again.
    pub fn take(&mut self, set: &proto::PolicySet) -> io::Result<()> {
        let mut index =
            if set.base == 0 { Index::default() } else { Index { set: set.set, ..self.index.clone() } };
        index.set = set.set;
        for name in &set.removed {
            index.policies.remove(name);
        }
        for policy in &set.upserts {
            let since =
                Timestamp::from_microsecond(policy.first_seen_us).unwrap_or_else(|_| Timestamp::now());
            let refused = if makes_a_file_name(&policy.name) {
                self.write(&format!("{FOLDER}/{}.yaml", policy.name), policy.document.as_bytes())?;
                None
            } else {
                Some(String::from("no file can be made of that name: use letters, digits, `.`, `_` and `-`"))
            };
            index
                .policies
                .insert(policy.name.clone(), KeptPolicy { revision: policy.revision, since, refused });
        }
        let wanted: BTreeSet<_> = index.policies.keys().map(|name| format!("{name}.yaml")).collect();
        for entry in fs::read_dir(self.files())? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| wanted.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        File::open(self.files())?.sync_all()?;
        self.write(INDEX, &serde_json::to_vec_pretty(&index)?)?;
        self.index = index;
        self.set.send_replace(Arc::new(self.index.published()));
        Ok(())
    }

    /// In one step, so that a crash leaves the old or the new content.
    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        super::files::replace(&self.folder.join(name), content)
    }
}

pub fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Index {
    fn published(&self) -> ConsoleSet {
        let since = self.policies.iter().map(|(name, policy)| (name.clone(), policy.since)).collect();
        ConsoleSet { set: self.set, since }
    }
}

/// As policies may be named; nothing that leads out of the folder.
fn makes_a_file_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    name.len() <= MAX_NAME
        && name.bytes().all(allowed)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, revision: i64) -> proto::Policy {
        proto::Policy {
            name: name.to_owned(),
            revision,
            kind: String::from("RuntimePolicy"),
            document: format!("# {name} {revision}\n"),
            first_seen_us: 1_000_000,
        }
    }

    fn files(kept: &Kept) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(kept.files())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn a_set_and_its_changes_are_kept_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(folder.path()).unwrap();
        assert_eq!(kept.set(), 0);
        let whole = proto::PolicySet {
            set: 4,
            upserts: vec![policy("a", 1), policy("b", 2)],
            ..proto::PolicySet::default()
        };
        kept.take(&whole).unwrap();
        let mut kept = Kept::open(folder.path()).unwrap();
        let mut source = kept.source();
        assert_eq!((kept.set(), source.set.borrow_and_update().since.len()), (4, 2));
        let changes = proto::PolicySet {
            set: 6,
            base: 4,
            upserts: vec![policy("c", 1)],
            removed: vec![String::from("a")],
            more: false,
        };
        kept.take(&changes).unwrap();
        assert!(source.set.has_changed().unwrap());
        let expected = [("b.yaml", "# b 2\n"), ("c.yaml", "# c 1\n")];
        assert_eq!(files(&kept), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(Kept::open(folder.path()).unwrap().index, kept.index);
        // A whole set has what it names and nothing else.
        kept.take(&proto::PolicySet { set: 7, upserts: vec![policy("d", 1)], ..proto::PolicySet::default() })
            .unwrap();
        assert_eq!(files(&kept), [(String::from("d.yaml"), String::from("# d 1\n"))]);
    }

    #[test]
    fn a_name_does_not_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(folder.path()).unwrap();
        let names = ["../evil", "/etc/evil", ".hidden", "a/b", "", "a\0b", &"n".repeat(300)];
        let upserts = names.iter().map(|name| policy(name, 1)).chain([policy("good", 1)]).collect();
        kept.take(&proto::PolicySet { set: 1, upserts, ..proto::PolicySet::default() }).unwrap();
        assert_eq!(files(&kept).len(), 1);
        assert!(!folder.path().join("evil.yaml").exists());
        assert!(kept.policies().values().filter(|policy| policy.refused.is_some()).count() == names.len());
    }

    #[test]
    fn without_a_readable_index_the_files_stay_until_the_whole_set_comes() {
        let folder = tempfile::tempdir().unwrap();
        let set = proto::PolicySet { set: 4, upserts: vec![policy("a", 1)], ..proto::PolicySet::default() };
        Kept::open(folder.path()).unwrap().take(&set).unwrap();
        fs::write(folder.path().join(INDEX), "{").unwrap();
        let kept = Kept::open(folder.path()).unwrap();
        assert_eq!((kept.set(), files(&kept).len()), (0, 1));
    }
}
