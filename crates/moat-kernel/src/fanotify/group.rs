//! The kernel's interface: a fanotify group, its marks, its events and their answers (fanotify(7)).
//!
//! All unsafe code of this driver is here.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::fs::MemfdFlags;
use rustix::io::Errno;

use super::event;

/// How many events one read takes at most, so that no container keeps the others waiting.
pub(super) const BATCH: usize = 16;

/// What a mark covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Span {
    /// Every file of the superblock, by whatever mount it is reached.
    Filesystem,
    /// Every file reached by this one mount.
    Mount,
}

impl Span {
    fn flag(self) -> libc::c_uint {
        match self {
            Span::Filesystem => libc::FAN_MARK_FILESYSTEM,
            Span::Mount => libc::FAN_MARK_MOUNT,
        }
    }
}

/// How this kernel lets the marks of single files silence further events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct IgnoreFlags(libc::c_uint);

impl IgnoreFlags {
    /// Tries the newest first on a file of our own: ignore marks that are well defined for directories (Linux 6.0) and
    /// that do not pin the inode (5.19), then the older ignored mask.
    pub fn probe() -> io::Result<IgnoreFlags> {
        let group = Group::permission()?;
        let file = rustix::fs::memfd_create("moat-fanotify-probe", MemfdFlags::CLOEXEC)?;
        let legacy = libc::FAN_MARK_IGNORED_MASK | libc::FAN_MARK_IGNORED_SURV_MODIFY;
        let candidates = [
            libc::FAN_MARK_IGNORE_SURV | libc::FAN_MARK_EVICTABLE,
            legacy | libc::FAN_MARK_EVICTABLE,
            legacy,
        ];
        let mut refusal = io::Error::from(Errno::INVAL);
        for flags in candidates.map(IgnoreFlags) {
            match group.ignore(flags, file.as_fd(), libc::FAN_OPEN_PERM) {
                Ok(()) => return Ok(flags),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}

/// A permission event, or the notice that others were lost.
#[derive(Debug)]
pub(super) struct Event {
    pub mask: u64,
    /// Thread that acts, in our pid namespace; 0 where it is not visible here.
    pub tid: u32,
    /// The file; it must be answered for. `None` in an overflow notice.
    pub file: Option<OwnedFd>,
}

/// One fanotify group. Dropping the last reference removes all its marks and lets waiting openers go on.
#[derive(Debug)]
pub(super) struct Group(OwnedFd);

impl AsFd for Group {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Group {
    /// A group that is asked for permission. Its queue has no limit: a full one would let opens pass unjudged.
    pub fn permission() -> io::Result<Group> {
        Group::new(
            libc::FAN_CLASS_CONTENT
                | libc::FAN_UNLIMITED_QUEUE
                | libc::FAN_UNLIMITED_MARKS
                | libc::FAN_REPORT_TID,
        )
    }

    /// A group that is told of new names in directories.
    pub fn changes() -> io::Result<Group> {
        Group::new(libc::FAN_CLASS_NOTIF | libc::FAN_REPORT_FID)
    }

    fn new(flags: libc::c_uint) -> io::Result<Group> {
        // The kernel opens the file of each event as we say here. Without O_NONBLOCK, a FIFO without a writer would
        // stop our thread, and with it every container.
        let file_flags = libc::O_RDONLY | libc::O_LARGEFILE | libc::O_CLOEXEC | libc::O_NONBLOCK;
        // SAFETY: no pointers are passed.
        let fd = unsafe {
            libc::fanotify_init(flags | libc::FAN_CLOEXEC | libc::FAN_NONBLOCK, file_flags as libc::c_uint)
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just returned this descriptor to us, and nothing else owns it.
        Ok(Group(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Adds `mask` to what is reported of the mount or superblock that `place` is on. `place` may be `O_PATH`.
    pub fn mark(&self, span: Span, place: BorrowedFd<'_>, mask: u64) -> io::Result<()> {
        self.mark_path(libc::FAN_MARK_ADD | span.flag(), place, mask)
    }

    pub fn unmark(&self, span: Span, place: BorrowedFd<'_>, mask: u64) -> io::Result<()> {
        self.mark_path(libc::FAN_MARK_REMOVE | span.flag(), place, mask)
    }

    /// Reports no more events of `mask` on this file. `file` must not be `O_PATH`.
    pub fn ignore(&self, flags: IgnoreFlags, file: BorrowedFd<'_>, mask: u64) -> io::Result<()> {
        self.call(libc::FAN_MARK_ADD | flags.0, mask, file.as_raw_fd(), ptr::null())
    }

    /// Removes all marks and lets those go on who wait. Closing does the same only once no one else has the descriptor,
    /// not even a child of ours between fork and exec.
    pub fn shut(&self) -> io::Result<()> {
        for span in [Span::Filesystem, Span::Mount] {
            self.call(libc::FAN_MARK_FLUSH | span.flag(), 0, libc::AT_FDCWD, ptr::null())?;
        }
        let mut events = Vec::with_capacity(BATCH);
        loop {
            match self.read(&mut events) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The file of one event could not be opened; the kernel has answered that one itself.
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => return Err(error),
                Err(_) | Ok(()) => {}
            }
            for file in events.drain(..).filter_map(|event| event.file) {
                // Gone meanwhile, it needs no answer.
                let _ = self.respond(file, true);
            }
        }
    }

    /// Takes back every [`Group::ignore`].
    pub fn flush_ignored(&self) -> io::Result<()> {
        self.call(libc::FAN_MARK_FLUSH, 0, libc::AT_FDCWD, ptr::null())
    }

    fn mark_path(&self, flags: libc::c_uint, place: BorrowedFd<'_>, mask: u64) -> io::Result<()> {
        // A descriptor opened with O_PATH is not accepted by itself, only by its name.
        let path = format!("/proc/self/fd/{}\0", place.as_raw_fd());
        self.call(flags, mask, libc::AT_FDCWD, path.as_ptr().cast())
    }

    fn call(
        &self,
        flags: libc::c_uint,
        mask: u64,
        directory: RawFd,
        path: *const libc::c_char,
    ) -> io::Result<()> {
        // SAFETY: `path` is null or a NUL-terminated string that outlives the call; both callers see to it.
        match unsafe { libc::fanotify_mark(self.0.as_raw_fd(), flags, mask, directory, path) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Appends at most [`BATCH`] waiting permission events to `events`.
    pub fn read(&self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut buffer = [0; BATCH * event::METADATA_LENGTH];
        let length = rustix::io::read(&self.0, &mut buffer)?;
        for raw in event::decode(&buffer[..length.min(buffer.len())]) {
            // SAFETY: the kernel opened this descriptor for us with the event, and we own each event exactly once.
            let file = raw.file.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
            events.push(Event { mask: raw.mask, tid: raw.tid, file });
        }
        Ok(())
    }

    /// Reads what a [`Group::changes`] group has to say, and forgets it. True if there was anything.
    pub fn drain(&self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        match rustix::io::read(&self.0, &mut buffer) {
            Ok(length) => Ok(length > 0),
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Answers for `file`, which is closed first: while we hold a FIFO open, a writer would take us for its reader. The
    /// kernel knows the event by the number alone, and only we read from this group.
    pub fn respond(&self, file: OwnedFd, allow: bool) -> io::Result<()> {
        let number = file.as_raw_fd();
        drop(file);
        let response = if allow { libc::FAN_ALLOW } else { libc::FAN_DENY };
        let mut bytes = [0; mem::size_of::<libc::fanotify_response>()];
        bytes[..4].copy_from_slice(&number.to_ne_bytes());
        bytes[4..].copy_from_slice(&response.to_ne_bytes());
        rustix::io::write(&self.0, &bytes)?;
        Ok(())
    }
}
