//! Reads the arguments of a process for a record, on a thread of its own.
//!
//! The arguments lie in the memory of the process, whose owner may make a read wait (userfaultfd(2), a FUSE mapping). The
//! driver waits a moment for them, then reports without.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(5);
const LIMIT: usize = 4096;
const MOST_ARGUMENTS: usize = 256;

/// Where the arguments stand.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    /// The process's own, `/proc/PID/cmdline`.
    Process,
    /// Those of an `execve` under way: the address of its `argv`.
    Vector(u64),
}

/// Arguments, each with its terminating NUL, and whether some are missing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Arguments {
    pub bytes: Vec<u8>,
    pub truncated: bool,
}

impl Arguments {
    fn missing() -> Arguments {
        Arguments { bytes: Vec::new(), truncated: true }
    }
}

/// Ends with its owner; a read that never returns keeps its thread, and nothing else.
#[derive(Debug)]
pub(super) struct Describer {
    requests: SyncSender<(u32, Source)>,
    replies: Receiver<Arguments>,
    /// A reply that came too late is still to come.
    behind: bool,
}

impl Describer {
    pub fn start() -> io::Result<Describer> {
        let (requests, incoming) = mpsc::sync_channel::<(u32, Source)>(1);
        let (outgoing, replies) = mpsc::sync_channel(1);
        thread::Builder::new().name(String::from("moat-arguments")).spawn(move || {
            for (tid, source) in incoming {
                let arguments = read(tid, source).unwrap_or_else(|_| Arguments::missing());
                if outgoing.send(arguments).is_err() {
                    break;
                }
            }
        })?;
        Ok(Describer { requests, replies, behind: false })
    }

    pub fn arguments(&mut self, tid: u32, source: Source) -> Arguments {
        if self.behind && self.replies.try_recv().is_ok() {
            self.behind = false;
        }
        if self.behind || self.requests.try_send((tid, source)).is_err() {
            return Arguments::missing();
        }
        self.replies.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            self.behind = true;
            Arguments::missing()
        })
    }
}

fn read(tid: u32, source: Source) -> io::Result<Arguments> {
    match source {
        Source::Process => {
            let mut bytes = vec![0; LIMIT];
            let length = File::open(format!("/proc/{tid}/cmdline"))?.read_at(&mut bytes, 0)?;
            bytes.truncate(length);
            Ok(Arguments { bytes, truncated: length == LIMIT })
        }
        Source::Vector(address) => read_vector(&File::open(format!("/proc/{tid}/mem"))?, address),
    }
}

fn read_vector(memory: &File, address: u64) -> io::Result<Arguments> {
    let mut bytes = Vec::new();
    for index in 0..MOST_ARGUMENTS as u64 {
        const WORD: usize = size_of::<usize>();
        let mut pointer = [0; WORD];
        memory.read_exact_at(&mut pointer, address.wrapping_add(index * WORD as u64))?;
        let pointer = usize::from_ne_bytes(pointer) as u64;
        if pointer == 0 {
            return Ok(Arguments { bytes, truncated: false });
        }
        let mut piece = [0; 256];
        let mut at = pointer;
        loop {
            // Up to the end of the page: the next one may not be there.
            let length = piece.len().min(4096 - (at % 4096) as usize);
            let read = memory.read_at(&mut piece[..length], at)?;
            let piece = &piece[..read];
            let end = piece.iter().position(|&byte| byte == 0);
            bytes.extend_from_slice(&piece[..end.map_or(read, |end| end + 1)]);
            if bytes.len() >= LIMIT || read == 0 {
                bytes.truncate(LIMIT);
                return Ok(Arguments { bytes, truncated: true });
            }
            if end.is_some() {
                break;
            }
            at = at.wrapping_add(read as u64);
        }
    }
    Ok(Arguments { bytes, truncated: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_from_both_places() {
        let strings = [c"/bin/sh", c"-c", c"a b"];
        let vector: Vec<*const libc::c_char> =
            strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect();
        let mut describer = Describer::start().unwrap();
        let own = std::process::id();
        let arguments = describer.arguments(own, Source::Vector(vector.as_ptr() as u64));
        // The first answer may be late on a busy machine; the thread itself must have the right one.
        let direct = read(own, Source::Vector(vector.as_ptr() as u64)).unwrap();
        assert_eq!(direct, Arguments { bytes: b"/bin/sh\0-c\0a b\0".to_vec(), truncated: false });
        assert!(arguments == direct || arguments == Arguments::missing());
        assert_eq!(read(own, Source::Process).unwrap().bytes, std::fs::read("/proc/self/cmdline").unwrap());
        assert!(read(own, Source::Vector(8)).is_err());
    }

    #[test]
    fn long_arguments_are_cut() {
        let long = vec![b'x'; 10_000].into_iter().chain([0]).collect::<Vec<u8>>();
        let vector = [long.as_ptr(), std::ptr::null()];
        let arguments = read(std::process::id(), Source::Vector(vector.as_ptr() as u64)).unwrap();
        assert_eq!((arguments.bytes.len(), arguments.truncated), (LIMIT, true));
    }
}
