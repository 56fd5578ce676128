//! The event file, or standard output: one JSON object a line.
//!
//! A thread of its own, for a write to a full disk or to a pipe that nobody reads may take forever. While it
//! waits, the queue before it fills, and the journal counts what does not fit.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use super::journal::Entry;

/// Lines that wait for the output.
pub const QUEUE: usize = 4096;
/// How long to wait after a failed write.
const RETRY: Duration = Duration::from_secs(1);

/// Where events are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Stdout,
    /// Appended to; created with mode 0600; opened again after a rotation.
    File(PathBuf),
}

/// The running thread.
#[derive(Debug)]
pub struct Output {
    thread: thread::JoinHandle<u64>,
    /// Set when there is no more time for another try.
    giving_up: Arc<AtomicBool>,
}

impl Output {
    /// The thread ends when every sender of `queue` is gone and what was queued is written, or cannot be.
    pub fn start(target: Target, queue: Receiver<Arc<Entry>>) -> io::Result<Output> {
        let giving_up = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&giving_up);
        let thread = thread::Builder::new()
            .name(String::from("moat-output"))
            .spawn(move || write_all(Writer::new(target), &queue, &flag))?;
        Ok(Output { thread, giving_up })
    }

    /// Call when the senders are gone: waits for the last line, but not for an output that fails. Returns
    /// how many events were not written.
    pub fn finish(self) -> u64 {
        self.giving_up.store(true, Ordering::Release);
        self.thread.thread().unpark();
        self.thread.join().unwrap_or(0)
    }
}

/// Writes until the queue ends; returns how many events could not be written.
fn write_all(mut writer: Writer, queue: &Receiver<Arc<Entry>>, giving_up: &AtomicBool) -> u64 {
    let mut healthy = true;
    while let Ok(entry) = queue.recv() {
        while let Err(error) = writer.write_line(&entry.line) {
            if healthy {
                tracing::error!(%error, target = writer.target.name(), "events cannot be written, trying again every second");
                healthy = false;
            }
            if giving_up.load(Ordering::Acquire) {
                return entry.event.count + queue.iter().map(|entry| entry.event.count).sum::<u64>();
            }
            thread::park_timeout(RETRY);
        }
        if !healthy {
            tracing::info!(target = writer.target.name(), "events are written again");
            healthy = true;
        }
    }
    0
}

struct Writer {
    target: Target,
    file: Option<File>,
    /// Bytes of the current line that were written already.
    written: usize,
}

impl Target {
    fn name(&self) -> String {
        match self {
            Target::Stdout => String::from("standard output"),
            Target::File(path) => path.display().to_string(),
        }
    }

    fn open(&self) -> io::Result<File> {
        match self {
            Target::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
            Target::File(path) => OpenOptions::new().append(true).create(true).mode(0o600).open(path),
        }
    }

    /// Whether the file is no longer the one of that name.
    fn moved_away_from(&self, file: &File) -> bool {
        match self {
            Target::Stdout => false,
            Target::File(path) => match (file.metadata(), path.metadata()) {
                (Ok(open), Ok(named)) => (open.dev(), open.ino()) != (named.dev(), named.ino()),
                _ => true,
            },
        }
    }
}

impl Writer {
    fn new(target: Target) -> Writer {
        Writer { target, file: None, written: 0 }
    }

    /// Writes the line and a line feed; after an error, a further call with the same line goes on where
    /// the last one stopped.
    fn write_line(&mut self, line: &str) -> io::Result<()> {
        let open = self.file.take().filter(|file| !self.target.moved_away_from(file));
        let file = if let Some(file) = open {
            file
        } else {
            self.written = 0;
            self.target.open()?
        };
        let file = self.file.insert(file);
        let bytes = [line.as_bytes(), b"\n"].concat();
        while let Some(rest @ [_, ..]) = bytes.get(self.written..) {
            match file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => self.written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
