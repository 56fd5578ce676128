//! Events that wait for the console, on disk: what it has not stored yet survives a restart.
//!
//! Segment files of a few megabytes, named by the number of their first event; each event is its length, a
//! CRC-32 and its JSON. A segment goes when the console has stored all of it; where the spool is full, the
//! oldest goes before that, and its events are counted as lost. What a crash cut off is cut off again when the
//! spool is opened.
//!
//! [`Spool`] blocks; [`thread`](super::thread) writes it and the session reads it on a thread of its own.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::checksum::crc32;

/// A segment that has grown so large is followed by the next.
const SEGMENT: u64 = 4 * 1024 * 1024;
/// Length and checksum before each event.
const HEADER: usize = 8;
const SUFFIX: &str = "events";

#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    capacity: u64,
    /// Oldest first; the last one is written to. Never empty once something was appended.
    segments: VecDeque<Segment>,
    /// The open last segment.
    file: Option<File>,
    /// Number of the last event that the console has stored.
    stored: u64,
    /// Number of the next event.
    next: u64,
    /// Given up since the start.
    lost: u64,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    first: u64,
    /// In bytes.
    ends: u64,
    events: u64,
}

/// Events for the console: the number of the last one, and their JSON.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    pub sequence: u64,
    pub events: Vec<Vec<u8>>,
}

/// Where a reader of the spool is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Position {
    /// Number of the next event to read.
    sequence: u64,
    /// Where it begins in its segment, if that is known.
    at: Option<(u64, u64)>,
}

impl Spool {
    /// Opens the spool in that folder, made if missing, with room for `capacity` bytes.
    pub fn open(folder: &Path, capacity: u64) -> io::Result<Spool> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let first = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            if let (Some(first), true) = (first, path.extension().is_some_and(|suffix| suffix == SUFFIX)) {
                found.push((first, path));
            }
        }
        found.sort_unstable();
        let mut segments = VecDeque::new();
        for (first, path) in found {
            let (events, ends) = check(&path)?;
            if events == 0 {
                fs::remove_file(&path)?;
            } else {
                segments.push_back(Segment { path, first, ends, events });
            }
        }
        let next = segments.back().map_or(1, |last: &Segment| last.first + last.events);
        let stored = segments.front().map_or(next - 1, |first: &Segment| first.first - 1);
        // What is written from now on goes into a segment of its own.
        Ok(Spool { folder: folder.to_owned(), capacity, segments, file: None, stored, next, lost: 0 })
    }

    /// Adds events, and returns when they are on the disk. Returns how many older ones were given up for them.
    pub fn append<'a>(&mut self, events: impl Iterator<Item = &'a [u8]>) -> io::Result<u64> {
        let mut bytes = Vec::new();
        let mut count = 0;
        for event in events {
            bytes.extend_from_slice(&u32::try_from(event.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(&crc32(event).to_le_bytes());
            bytes.extend_from_slice(event);
            count += 1;
        }
        let lost = self.make_room(bytes.len() as u64)?;
        let written = self.write(&bytes);
        let Some(segment) = self.segments.back_mut() else { return Ok(lost) };
        match written {
            Ok(()) => {
                segment.ends += bytes.len() as u64;
                segment.events += count;
                self.next += count;
                Ok(lost)
            }
            Err(error) => {
                // Half an event must not stand before the next one.
                if let Some(file) = self.file.take() {
                    file.set_len(segment.ends)?;
                }
                Err(error)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let full = self.segments.back().is_none_or(|segment| segment.ends >= SEGMENT);
        if full || self.file.is_none() {
            let path = self.folder.join(format!("{:020}.{SUFFIX}", self.next));
            let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
            File::open(&self.folder)?.sync_all()?;
            // One that nothing came into is there already, under the same name.
            self.segments.retain(|segment| segment.first != self.next);
            self.segments.push_back(Segment { path, first: self.next, ends: 0, events: 0 });
            self.file = Some(file);
        }
        let (Some(file), Some(segment)) = (&mut self.file, self.segments.back()) else { return Ok(()) };
        file.seek(SeekFrom::Start(segment.ends))?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    /// Gives up the oldest segments until that many bytes fit. Returns how many events were given up.
    fn make_room(&mut self, more: u64) -> io::Result<u64> {
        let mut lost = 0;
        while self.bytes() + more > self.capacity {
            let Some(oldest) = self.segments.front() else { break };
            let last = oldest.first + oldest.events - 1;
            lost += last.saturating_sub(self.stored.max(oldest.first.saturating_sub(1)));
            self.stored = self.stored.max(last);
            self.remove_oldest()?;
        }
        self.lost += lost;
        Ok(lost)
    }

    /// The console has stored everything up to `sequence`.
    pub fn stored(&mut self, sequence: u64) -> io::Result<()> {
        self.stored = self.stored.max(sequence.min(self.next - 1));
        while let Some(oldest) = self.segments.front() {
            // What is still written to goes when it is followed by another, or is large.
            let closed = self.segments.len() > 1 || self.file.is_none() || oldest.ends >= SEGMENT / 16;
            if oldest.first + oldest.events > self.stored + 1 || !closed {
                break;
            }
            self.remove_oldest()?;
        }
        Ok(())
    }

    fn remove_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.segments.pop_front() else { return Ok(()) };
        if self.segments.is_empty() {
            self.file = None;
        }
        fs::remove_file(&oldest.path)
    }

    /// Before the first event that the console may not have.
    pub fn start(&self) -> Position {
        Position { sequence: self.stored + 1, at: None }
    }

    /// The next events, until they are more than `limit` bytes; `None` where there are none yet.
    pub fn read(&self, position: &mut Position, limit: usize) -> io::Result<Option<Batch>> {
        // What was given up meanwhile is not there any more.
        let oldest = self.segments.front().map_or(self.next, |segment| segment.first);
        if position.sequence < oldest {
            *position = Position { sequence: oldest, at: None };
        }
        let holds = |segment: &&Segment| position.sequence < segment.first + segment.events;
        let Some(segment) = self.segments.iter().find(holds) else { return Ok(None) };
        let mut file = io::BufReader::with_capacity(64 * 1024, File::open(&segment.path)?);
        let mut at = match position.at {
            Some((first, at)) if first == segment.first => at,
            _ => 0,
        };
        file.seek(SeekFrom::Start(at))?;
        let mut sequence = if at == 0 { segment.first } else { position.sequence };
        let mut batch = Batch { sequence: position.sequence, events: Vec::new() };
        let mut bytes = 0;
        while bytes < limit && sequence < segment.first + segment.events {
            let event = read_event(&mut file)?;
            let Some(event) = event else {
                let what = format!("{}: event {sequence} is damaged", segment.path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            };
            at += (HEADER + event.len()) as u64;
            if sequence >= position.sequence {
                bytes += event.len();
                batch.sequence = sequence;
                batch.events.push(event);
            }
            sequence += 1;
        }
        *position = Position { sequence, at: Some((segment.first, at)) };
        Ok(Some(batch))
    }

    /// Gives up what cannot be read: everything up to the end of the segment in which `position` is.
    pub fn skip(&mut self, position: &mut Position) -> u64 {
        let segment = self.segments.iter().find(|segment| position.sequence < segment.first + segment.events);
        let after = segment.map_or(self.next, |segment| segment.first + segment.events);
        let skipped = after.saturating_sub(position.sequence);
        *position = Position { sequence: after, at: None };
        // Nothing more goes behind it.
        self.file = None;
        self.lost += skipped;
        skipped
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.ends).sum()
    }

    pub fn status(&self) -> moat_wire::gateway::SpoolStatus {
        moat_wire::gateway::SpoolStatus {
            events: self.next - 1 - self.stored,
            bytes: self.bytes(),
            lost: self.lost,
        }
    }
}

/// How many whole events the file has, and where they end; whatever follows is cut off.
fn check(path: &Path) -> io::Result<(u64, u64)> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let length = file.metadata()?.len();
    let mut reader = io::BufReader::new(&file);
    let (mut events, mut ends) = (0, 0);
    while let Some(event) = read_event(&mut reader)? {
        events += 1;
        ends += (HEADER + event.len()) as u64;
    }
    if ends < length {
        tracing::warn!(file = %path.display(), bytes = length - ends, "the end of the spool is damaged and is cut off");
        file.set_len(ends)?;
        file.sync_all()?;
    }
    Ok((events, ends))
}

/// The event that follows; `None` at the end, and where what follows is no whole event.
fn read_event(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER];
    let mut event = Vec::new();
    if reader.by_ref().take(HEADER as u64).read_to_end(&mut event)? < HEADER {
        return Ok(None);
    }
    header.copy_from_slice(&event);
    let [a, b, c, d, rest @ ..] = header;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    event.clear();
    reader.by_ref().take(length).read_to_end(&mut event)?;
    let whole = event.len() as u64 == length && crc32(&event) == u32::from_le_bytes(rest);
    Ok(whole.then_some(event))
}

#[cfg(test)]
mod tests;
