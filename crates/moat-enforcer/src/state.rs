//! The state folder: one agent at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "agent.lock";

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("the state folder {} cannot be used: {source}; name another one with --state", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("another agent uses the state folder {}; stop it, or name another folder with --state", .0.display())]
    InUse(PathBuf),
}

/// The folder, locked for this process. The lock ends with it, whichever way it ends.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    _lock: File,
}

impl State {
    /// Makes the folder, with mode 0700, where it is missing, and locks it.
    pub fn lock(folder: &Path) -> Result<State, StateError> {
        let unusable = |source| StateError::Folder { folder: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let mut lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(LOCK))
            .map_err(unusable)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StateError::InUse(folder.to_owned()),
            TryLockError::Error(source) => unusable(source),
        })?;
        // For people who look for the agent.
        lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id())).map_err(unusable)?;
        Ok(State { folder: folder.to_owned(), _lock: lock })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Removes everything that agents leave there, and the folder itself if nothing else is in it.
    pub fn remove(self, control: &Path) -> Result<(), StateError> {
        let unusable = |source| StateError::Folder { folder: self.folder.clone(), source };
        let left = moat_wire::state::ENTRIES.iter().map(|name| self.folder.join(name));
        for path in left.chain([control.to_owned()]) {
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
                _ => {}
            }
        }
        match fs::remove_dir(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(unusable(error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_agent_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("run/moat");
        let first = State::lock(&folder).unwrap();
        assert!(matches!(State::lock(&folder), Err(StateError::InUse(_))));
        drop(first);
        let second = State::lock(&folder).unwrap();
        assert_eq!(fs::read_to_string(folder.join(LOCK)).unwrap(), format!("{}\n", std::process::id()));
        drop(second);
    }

    #[test]
    fn removing_leaves_nothing_but_what_is_not_ours() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("moat");
        let control = folder.join("control.sock");
        let state = State::lock(&folder).unwrap();
        for name in ["first-seen.json", "control.sock", "notes.txt"] {
            fs::write(folder.join(name), "").unwrap();
        }
        fs::create_dir_all(folder.join("console/spool")).unwrap();
        state.remove(&control).unwrap();
        let left: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
        fs::remove_file(folder.join("notes.txt")).unwrap();
        State::lock(&folder).unwrap().remove(&control).unwrap();
        assert!(!folder.exists());
    }
}
