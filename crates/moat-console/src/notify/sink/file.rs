//! JSON lines appended to a file. A batch is on the disk before it counts as delivered; a half-written one is taken
//! back. Whoever rotates the file renames it: the next batch makes a new one.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moat_event::Event;

use super::{InvalidDestination, Reply, chain};
use crate::notify::destination;
use crate::notify::egress::Egress;

#[derive(Debug)]
pub struct File {
    path: Arc<PathBuf>,
    open: Arc<Mutex<Option<fs::File>>>,
    deadline: Duration,
}

impl File {
    pub fn new(
        config: &destination::File,
        egress: &Egress,
        deadline: Duration,
    ) -> Result<File, InvalidDestination> {
        let folder = egress.files.as_ref().ok_or(InvalidDestination::NoFiles)?;
        let name = &config.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(plain) {
            let why =
                "must be a file's name of letters, digits, dots, hyphens and underscores, without folders";
            return Err(InvalidDestination::field("name", why));
        }
        Ok(File { path: Arc::new(folder.join(name)), open: Arc::default(), deadline })
    }

    pub async fn send(&self, events: &[Event]) -> Reply {
        let mut lines = Vec::with_capacity(events.len() * 1024);
        for event in events {
            if let Err(error) = serde_json::to_writer(&mut lines, event) {
                return Reply::refused(chain(&error));
            }
            lines.push(b'\n');
        }
        let (path, open) = (Arc::clone(&self.path), Arc::clone(&self.open));
        let written = tokio::task::spawn_blocking(move || {
            // A panic while it was held leaves at most a file to open again.
            let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
            append(&path, &mut open, &lines)
        });
        match tokio::time::timeout(self.deadline, written).await {
            Ok(Ok(Ok(()))) => Reply::Delivered(format!("written to {}", self.path.display())),
            Ok(Ok(Err(error))) => Reply::later(format!("writing {}: {error}", self.path.display())),
            Ok(Err(error)) => Reply::later(chain(&error)),
            Err(_) => Reply::later(format!("writing {}: the disk does not answer", self.path.display())),
        }
    }
}

fn append(path: &Path, open: &mut Option<fs::File>, lines: &[u8]) -> io::Result<()> {
    if !open.as_ref().is_some_and(|file| is_still(path, file)) {
        *open = Some(begin(path)?);
    }
    let Some(file) = open.as_mut() else { return Ok(()) };
    let before = file.metadata()?.len();
    let written = file.write_all(lines).and_then(|()| file.sync_data());
    if written.is_err() {
        // What was written of the batch would be repeated after a torn line.
        let _ = file.set_len(before);
        *open = None;
    }
    written
}

/// Whether the path still names the open file.
fn is_still(path: &Path, file: &fs::File) -> bool {
    match (fs::symlink_metadata(path), file.metadata()) {
        (Ok(named), Ok(opened)) => (named.dev(), named.ino()) == (opened.dev(), opened.ino()),
        _ => false,
    }
}

/// Opens the file at its end, after a line torn by a crash has been ended.
fn begin(path: &Path) -> io::Result<fs::File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is there and is not a regular file"));
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::encode::samples;

    fn sink(folder: &Path, name: &str) -> Result<File, InvalidDestination> {
        let egress = Egress { files: Some(folder.to_owned()), ..Egress::default() };
        File::new(&destination::File { name: name.into() }, &egress, Duration::from_secs(30))
    }

    fn read(path: &Path) -> Vec<Event> {
        let text = fs::read_to_string(path).expect("a file");
        text.lines().map(|line| serde_json::from_str(line).expect("an event a line")).collect()
    }

    #[tokio::test]
    async fn a_renamed_file_is_followed_by_a_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("events.jsonl"), folder.path().join("events.jsonl.1"));
        let sink = sink(folder.path(), "events.jsonl").expect("valid");
        assert!(matches!(sink.send(&samples::all()).await, Reply::Delivered(_)));
        fs::rename(&path, &old).expect("renamed");
        assert!(matches!(sink.send(&[samples::read()]).await, Reply::Delivered(_)));
        assert_eq!(read(&old), samples::all());
        assert_eq!(read(&path), [samples::read()]);
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_torn_line_is_ended_and_the_next_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "{\"timestamp\":\"20").expect("written");
        let sink = sink(folder.path(), "events.jsonl").expect("valid");
        assert!(matches!(sink.send(&[samples::read()]).await, Reply::Delivered(_)));
        let text = fs::read_to_string(&path).expect("a file");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(serde_json::from_str::<Event>(lines[1]).expect("an event"), samples::read());
    }

    #[tokio::test]
    async fn a_full_disk_keeps_whole_lines_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("full");
        // `/dev/full` refuses every write, but is no regular file: written to directly here.
        let mut open = Some(OpenOptions::new().append(true).open("/dev/full").expect("a device"));
        std::os::unix::fs::symlink("/dev/full", &path).expect("a link");
        assert!(append(&path, &mut open, b"line\n").is_err());
        let sink = sink(folder.path(), "full").expect("valid");
        let reply = sink.send(&[samples::read()]).await;
        assert!(
            matches!(&reply, Reply::Later { error, .. } if error.contains("not a regular file")),
            "{reply:?}"
        );
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["", ".", "..", "../x", "/etc/cron.d/x", "a/b", ".hidden", "a\0b", "a\nb", "ä"] {
            assert!(sink(Path::new("/nonexistent"), name).is_err(), "{name:?}");
        }
        let off = File::new(&destination::File { name: "x".into() }, &Egress::default(), Duration::ZERO);
        assert!(matches!(off, Err(InvalidDestination::NoFiles)));
    }
}
