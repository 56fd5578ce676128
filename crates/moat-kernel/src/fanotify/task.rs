//! What `/proc` says of an acting task. Never of its memory: to read that can keep the reader waiting for the task's own
//! page fault handler.

use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use std::time::{Duration, SystemTime};

use moat_event::Origin;
use rustix::fs::{Mode, OFlags};
use rustix::io::{self, Errno};

use super::syscall::Purpose;
use crate::programs::Tasks;

/// What only the kernel programs of the guard know for sure about a process. Pids are the node's.
///
/// Asked on the driver's own thread, for each judged event of a container: answers must not block.
pub trait RuntimeTasks: Send + Sync {
    /// Whether this process is the container runtime's own, at work inside a container: it has not yet executed the
    /// program that it was asked to start.
    fn is_runtime(&self, pid: u32) -> bool;

    /// How the process came to be in its container; `None` where that is not known.
    fn origin(&self, pid: u32) -> Option<Origin>;
}

impl RuntimeTasks for Tasks {
    fn is_runtime(&self, pid: u32) -> bool {
        Tasks::is_runtime(self, pid)
    }

    fn origin(&self, pid: u32) -> Option<Origin> {
        Tasks::origin(self, pid)
    }
}

/// From `/proc/TID/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Status {
    /// Thread group: the process.
    pub pid: u32,
    pub parent: u32,
    /// Real user, in the node's user namespace.
    pub uid: u32,
}

impl Status {
    fn parse(text: &[u8]) -> Option<Status> {
        let field = |name: &[u8]| -> Option<u32> {
            let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(name))?;
            str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()
        };
        Some(Status { pid: field(b"Tgid:")?, parent: field(b"PPid:")?, uid: field(b"Uid:")? })
    }
}

/// Reads files and links of `/proc/PID`, into one buffer that is used again.
#[derive(Debug)]
pub(super) struct Processes {
    directory: OwnedFd,
    /// `/proc/self/fd`.
    descriptors: OwnedFd,
    buffer: Vec<u8>,
}

/// `/proc/TID` of a thread. It leads nowhere once that thread has ended, whoever gets its number then.
#[derive(Debug)]
pub(super) struct TaskDirectory(OwnedFd);

impl TaskDirectory {
    /// As [`Processes::link`], into memory that is used again.
    pub fn link(&self, name: &str, target: &mut Vec<u8>) -> io::Result<()> {
        read_link(self.0.as_fd(), name.as_bytes(), target)?;
        if let Some(path) = without_deleted(target) {
            target.truncate(path.len());
        }
        Ok(())
    }
}

/// `TID/NAME` relative to `/proc`, on the stack.
struct EntryName {
    bytes: [u8; 48],
    length: usize,
}

impl EntryName {
    fn new(tid: u32, name: &str) -> EntryName {
        let mut bytes = [0; 48];
        let mut rest = &mut bytes[..];
        // Ten digits, a slash and the names used here fit.
        let _ = write!(rest, "{tid}/{name}");
        let length = 48 - rest.len();
        EntryName { bytes, length }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Processes {
    pub fn open() -> io::Result<Processes> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open("/proc", flags, Mode::empty())?;
        let descriptors = rustix::fs::open("/proc/self/fd", flags, Mode::empty())?;
        Ok(Processes { directory, descriptors, buffer: Vec::with_capacity(8192) })
    }

    pub fn task(&self, tid: u32) -> io::Result<TaskDirectory> {
        self.open_link(tid, "").map(TaskDirectory)
    }

    /// Where `/proc/self/fd/N` of our own descriptor leads: the path within the root of its mount namespace.
    pub fn descriptor_link(&self, file: BorrowedFd<'_>, target: &mut Vec<u8>) -> io::Result<()> {
        let mut name = [0_u8; 16];
        let mut rest = &mut name[..];
        let _ = write!(rest, "{}", file.as_raw_fd());
        let length = 16 - rest.len();
        read_link(self.descriptors.as_fd(), name.get(..length).unwrap_or_default(), target)
    }

    /// The whole text of a file, at most 1 MiB.
    pub fn read(&mut self, tid: u32, name: &str) -> io::Result<&[u8]> {
        const LIMIT: usize = 1 << 20;
        let file = rustix::fs::openat(
            &self.directory,
            EntryName::new(tid, name).as_bytes(),
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        self.buffer.clear();
        loop {
            if self.buffer.len() == self.buffer.capacity() {
                self.buffer.reserve(8192);
            }
            let read = rustix::io::read(&file, rustix::buffer::spare_capacity(&mut self.buffer))?;
            // Most are shorter than the buffer, and then come whole in one read.
            if read == 0 || self.buffer.len() >= LIMIT {
                return Ok(&self.buffer);
            }
        }
    }

    /// Where a link leads, e.g. `exe`; without ` (deleted)`.
    pub fn link(&self, tid: u32, name: &str) -> io::Result<Vec<u8>> {
        let mut target = Vec::new();
        read_link(self.directory.as_fd(), EntryName::new(tid, name).as_bytes(), &mut target)?;
        if let Some(path) = without_deleted(&target) {
            target.truncate(path.len());
        }
        Ok(target)
    }

    pub fn open_link(&self, tid: u32, name: &str) -> io::Result<OwnedFd> {
        rustix::fs::openat(
            &self.directory,
            EntryName::new(tid, name).as_bytes(),
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }

    pub fn status(&mut self, tid: u32) -> io::Result<Status> {
        Status::parse(self.read(tid, "status")?).ok_or(Errno::SRCH)
    }

    /// When a process started, to a hundredth of a second.
    pub fn started(&mut self, pid: u32) -> io::Result<SystemTime> {
        // Fields from the third on follow the name, which may have anything in it; the start is field 22
        // (`proc_pid_stat(5)`), in ticks of USER_HZ since the boot.
        let text = self.read(pid, "stat")?;
        let fields = text.rsplit(|&byte| byte == b')').next().unwrap_or_default();
        let ticks = str::from_utf8(fields).ok().and_then(|fields| fields.split_ascii_whitespace().nth(19));
        let ticks: u64 = ticks.and_then(|ticks| ticks.parse().ok()).ok_or(Errno::SRCH)?;
        let uptime = std::fs::read_to_string("/proc/uptime").map_err(|_| Errno::IO)?;
        let uptime: f64 =
            uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).ok_or(Errno::IO)?;
        let since = Duration::from_secs_f64(uptime).saturating_sub(Duration::from_millis(ticks * 10));
        Ok(SystemTime::now() - since)
    }

    /// Why the thread opens the file that it waits for.
    pub fn purpose(&mut self, tid: u32) -> Purpose {
        let mut look = || self.read(tid, "syscall").map_or(Purpose::Unknown, Purpose::parse);
        match look() {
            Purpose::Awake => {
                // It has asked and is about to sleep; often it only needs this processor.
                std::thread::yield_now();
                look()
            }
            purpose => purpose,
        }
    }
}

/// As [`Processes::descriptor_link`], for those who ask once.
pub(super) fn link_of_descriptor(file: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut target = Vec::new();
    read_link(rustix::fs::CWD, format!("/proc/self/fd/{}", file.as_raw_fd()).as_bytes(), &mut target)?;
    Ok(target)
}

fn read_link(directory: BorrowedFd<'_>, name: &[u8], target: &mut Vec<u8>) -> io::Result<()> {
    target.clear();
    // The kernel gives at most a page less its NUL.
    target.reserve(4096);
    rustix::fs::readlinkat_raw(directory, name, rustix::buffer::spare_capacity(target))?;
    Ok(())
}

/// The path without the mark that the kernel puts on a name that was unlinked. A file may really be called that.
pub(super) fn without_deleted(path: &[u8]) -> Option<&[u8]> {
    path.strip_suffix(b" (deleted)")
}

/// `/proc/PID/uid_map` (`user_namespaces(7)`): how users of the node are called in the container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct UidMap(Vec<(u32, u32, u32)>);

impl UidMap {
    pub fn parse(text: &[u8]) -> UidMap {
        let ranges = text.split(|&byte| byte == b'\n').filter_map(|line| {
            let mut numbers =
                str::from_utf8(line).ok()?.split_ascii_whitespace().map_while(|word| word.parse().ok());
            Some((numbers.next()?, numbers.next()?, numbers.next()?))
        });
        UidMap(ranges.collect())
    }

    /// The container's name for `uid`; users without one are the overflow user.
    pub fn inside(&self, uid: u32) -> u32 {
        const OVERFLOW: u32 = 65534;
        let range = self
            .0
            .iter()
            .find(|(_, outside, length)| uid.checked_sub(*outside).is_some_and(|offset| offset < *length));
        range.map_or(OVERFLOW, |(inside, outside, _)| inside.wrapping_add(uid - outside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_forge_status_fields() {
        let text = b"Name:\ta\\nTgid:\t1\nUmask:\t0022\nTgid:\t42\nPPid:\t7\nUid:\t1000\t0\t0\t0\n";
        assert_eq!(Status::parse(text), Some(Status { pid: 42, parent: 7, uid: 1000 }));
        assert_eq!(Status::parse(b""), None);
    }

    #[test]
    fn users_are_called_by_their_names_in_the_container() {
        let identity = UidMap::parse(b"         0          0 4294967295\n");
        assert_eq!(identity.inside(1000), 1000);
        let mapped = UidMap::parse(b"0 100000 65536\n");
        assert_eq!(mapped.inside(100_033), 33);
        assert_eq!(mapped.inside(0), 65534);
    }

    #[test]
    fn our_own_process_is_read() {
        let mut processes = Processes::open().unwrap();
        let own = std::process::id();
        assert_eq!(processes.status(own).unwrap().pid, own);
        assert!(!processes.read(own, "cgroup").unwrap().is_empty());
        assert_eq!(
            processes.link(own, "exe").unwrap(),
            std::env::current_exe().unwrap().into_os_string().into_encoded_bytes()
        );
        assert_eq!(processes.read(0, "status").unwrap_err(), Errno::NOENT);
    }
}
