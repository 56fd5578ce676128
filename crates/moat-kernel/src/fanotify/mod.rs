//! Refuses executions and opens with a true EPERM, on kernels without BPF LSM: fanotify permission events (fanotify(7)),
//! Linux 5.15 and later. One half of the guard driver, which calls it; the other half is in BPF.
//!
//! ```text
//! apply ─▶ container (rules, identities, mounts) ─▶ marks on the container's own file systems
//! event ─▶ locate (every name of the file) ─▶ judge ─▶ answer, and a record through the flood gate
//! ```
//!
//! Each container has a group of its own, so that its marks vanish with it. One thread answers for all, and never waits for
//! anything that a container can hold up.
//!
//! # What it holds
//!
//! Executions by rules that need no arguments, and opens by file rules on `Read`, `Write`, `Truncate` and `Create`, whatever
//! name the file is opened by: hard links, renamed files and directories, symbolic links, bind mounts, other mount
//! namespaces, `chroot`, `/proc/PID/root`, `/proc/self/fd`.
//!
//! # What it cannot
//!
//! * A file that an `open(O_CREAT)` made exists, empty, although the open is refused.
//! * `openat2` and `io_uring` do not let the purpose of an open be told: it must be allowed to read *and* to write.
//! * A hard link made before the rules were applied, to a file that only a wildcard rules, has no ruled name. One made from
//!   a file that replaced an exactly ruled one is known after a second.
//! * A file without rules that has not changed since the container started is ignored from its first open on. Given a
//!   ruled name by `rename` or `link` later, it stays so: at most a second under an exactly ruled name, until the next
//!   change of rules under one that only a wildcard rules. Its content is what the container could reach before; files
//!   that the container writes are never ignored (unless the file system tells of new names, as overlay does with
//!   `nfs_export=on`: then all are, until the notice).
//! * Volumes that share their file system with the node are watched by mount: a process that may mount can make another one
//!   ([`FilePermissions::weaknesses`]). Mounts made after `apply` are seen at the next.
//! * When the agent dies, the kernel lets all pass until it is back.

mod cgroup;
mod container;
mod describe;
mod event;
mod flood;
mod group;
mod identity;
mod judge;
mod limits;
mod mounts;
mod syscall;
mod task;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use moat_event::{Loss, LossStage};
use moat_policy::{RuleIndex, RuleSet};
use rustix::event::{EventfdFlags, eventfd};

use self::container::{Container, Needs, Placement};
use self::group::{Group, IgnoreFlags, Span};
use self::identity::Identity;
use self::judge::Judge;
use self::limits::GroupLimit;
use self::task::Processes;
pub use self::task::RuntimeTasks;
use self::worker::{Command, Counters, Worker};
use crate::record::Sink;
use crate::{ApplyError, ContainerScope};

/// How long `apply` waits for the thread to take over new rules.
const PATIENCE: Duration = Duration::from_secs(5);

/// The driver. Dropping it lets go of all containers and ends its thread.
#[derive(Debug)]
pub struct FilePermissions {
    processes: Processes,
    placed: HashMap<u64, Placed>,
    commands: Sender<Command>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<Counters>,
    _limit: Option<GroupLimit>,
}

/// What is in the kernel for one container.
#[derive(Debug)]
struct Placed {
    root: Identity,
    group: Arc<Group>,
    changes: Option<Arc<Group>>,
    /// The marks that are placed: their mask by superblock or mount.
    marks: HashMap<(Span, u64), u64>,
    weaknesses: Vec<String>,
}

impl FilePermissions {
    /// Starts the thread. `tasks` is what the other half knows of processes.
    ///
    /// Raises `fs.fanotify.max_user_groups` for as long as it lives, and the soft limit on open files for good.
    ///
    /// # Errors
    ///
    /// Where the kernel has no permission events, or we lack `CAP_SYS_ADMIN`.
    pub fn new(sink: Sink, tasks: Arc<dyn RuntimeTasks>) -> io::Result<FilePermissions> {
        let ignore = IgnoreFlags::probe()?;
        limits::raise_open_files();
        let limit = GroupLimit::raise().unwrap_or_else(|error| {
            tracing::warn!(%error, sysctl = limits::SYSCTL, "cannot raise the limit, which allows 64 containers by default");
            None
        });
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let counters = Arc::new(Counters::default());
        let (commands, incoming) = mpsc::channel();
        let judge = Judge::new(tasks)?;
        let worker = Worker::new(judge, ignore, sink, Arc::clone(&counters), Arc::clone(&wake), incoming)?;
        let thread =
            std::thread::Builder::new().name(String::from("moat-fanotify")).spawn(move || worker.run())?;
        Ok(FilePermissions {
            processes: Processes::open()?,
            placed: HashMap::new(),
            commands,
            wake,
            thread: Some(thread),
            counters,
            _limit: limit,
        })
    }

    /// Puts `rules` in force for the container. No open passes between the old rules and the new.
    ///
    /// # Errors
    ///
    /// On error the last complete set still holds.
    pub fn apply(
        &mut self,
        scope: &ContainerScope,
        rules: &Arc<RuleSet>,
        index: &Arc<RuleIndex>,
    ) -> Result<(), ApplyError> {
        if !Needs::of(rules).any() {
            self.release(scope.cgroup);
            return Ok(());
        }
        let container = Container::open(scope, rules, index, &mut self.processes).map_err(refusal)?;
        let (placements, weaknesses) =
            container.root.placements(container.needs, rules, &mut self.processes).map_err(refusal)?;
        let root = container.root.identity;
        let (group, changes, old_marks) = match self.placed.get(&scope.cgroup) {
            Some(placed) if placed.root == root => {
                (Arc::clone(&placed.group), placed.changes.clone(), placed.marks.clone())
            }
            _ => (Arc::new(Group::permission().map_err(too_many_groups)?), None, HashMap::new()),
        };
        let changes = changes.or_else(|| watch_names(&container));

        let new_marks = place(&group, &placements, &old_marks)?;
        let (done, reply) = mpsc::sync_channel(1);
        let command = Command::Hold {
            container: Box::new(container),
            group: Arc::clone(&group),
            changes: changes.clone(),
            done,
        };
        self.send(command);
        match reply.recv_timeout(PATIENCE) {
            Ok(result) => result?,
            Err(_) => {
                return Err(io::Error::other("the thread that answers permission events does not").into());
            }
        }
        // Marks that are left over cost questions that no rule answers; they are never missed.
        for Placement { span, place, .. } in &placements {
            let key = mark_key(*span, place)?;
            let surplus =
                old_marks.get(&key).copied().unwrap_or(0) & !new_marks.get(&key).copied().unwrap_or(0);
            if surplus & !libc::FAN_ONDIR != 0 {
                let _ = group.unmark(*span, place.as_fd(), surplus);
            }
        }
        self.placed.insert(scope.cgroup, Placed { root, group, changes, marks: new_marks, weaknesses });
        Ok(())
    }

    /// The container is gone, or no rule selects it any more.
    pub fn release(&mut self, cgroup: u64) {
        if self.placed.remove(&cgroup).is_some() {
            self.send(Command::Release { cgroup });
        }
    }

    /// In words, where the rules in force for the container do not hold as written.
    pub fn weaknesses(&self, cgroup: u64) -> &[String] {
        self.placed.get(&cgroup).map_or(&[], |placed| &placed.weaknesses)
    }

    /// What was lost since the start.
    pub fn losses(&self) -> Vec<Loss> {
        let events =
            self.counters.overflows.load(Ordering::Relaxed) + self.counters.failed.load(Ordering::Relaxed);
        if events == 0 { Vec::new() } else { vec![Loss { stage: LossStage::NotificationQueue, events }] }
    }

    fn send(&self, command: Command) {
        // Without the thread no one is held; `apply` notices by the missing reply.
        if self.commands.send(command).is_ok() {
            let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        }
    }
}

impl Drop for FilePermissions {
    fn drop(&mut self) {
        self.send(Command::Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that answers permission events panicked");
        }
    }
}

/// Adds what is missing; on error takes back what it added.
fn place(
    group: &Group,
    placements: &[Placement],
    old: &HashMap<(Span, u64), u64>,
) -> io::Result<HashMap<(Span, u64), u64>> {
    let mut marks = HashMap::new();
    for (index, Placement { span, place, mask }) in placements.iter().enumerate() {
        let result = mark_key(*span, place).and_then(|key| {
            group.mark(*span, place.as_fd(), *mask)?;
            Ok(key)
        });
        match result {
            Ok(key) => *marks.entry(key).or_insert(0) |= mask,
            Err(error) => {
                for Placement { span, place, mask } in &placements[..index] {
                    let known =
                        mark_key(*span, place).ok().and_then(|key| old.get(&key)).copied().unwrap_or(0);
                    let _ = group.unmark(*span, place.as_fd(), mask & !known);
                }
                return Err(error);
            }
        }
    }
    Ok(marks)
}

/// What a mark is known by: the superblock's device, or the mount's id.
fn mark_key(span: Span, place: &OwnedFd) -> io::Result<(Span, u64)> {
    use rustix::fs::{AtFlags, StatxFlags, makedev};
    let status =
        rustix::fs::statx(place, c"", AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC, StatxFlags::MNT_ID)?;
    let number = match span {
        Span::Filesystem => makedev(status.stx_dev_major, status.stx_dev_minor),
        Span::Mount => status.stx_mnt_id,
    };
    Ok((span, number))
}

/// Asks for notices of new names on the container's root file system. `None` where the kernel has none to give.
fn watch_names(container: &Container) -> Option<Arc<Group>> {
    if container.root.span != Span::Filesystem {
        return None;
    }
    let names = libc::FAN_CREATE | libc::FAN_MOVED_TO | libc::FAN_ONDIR;
    let group = Group::changes().and_then(|group| {
        group.mark(Span::Filesystem, container.root.directory.as_fd(), names).map(|()| group)
    });
    match group {
        Ok(group) => Some(Arc::new(group)),
        Err(error) => {
            tracing::info!(%error, cgroup = container.cgroup, "no notices of new names here: every open is asked about");
            None
        }
    }
}

fn refusal(error: rustix::io::Errno) -> ApplyError {
    use rustix::io::Errno;
    match error {
        Errno::NOENT | Errno::SRCH => ApplyError::Vanished,
        Errno::XDEV => io::Error::other(
            "the container's root directory is not the root of a mount, so that no mark on it would leave the node alone",
        )
        .into(),
        Errno::MFILE => io::Error::other("too many open files: raise the agent's hard limit (LimitNOFILE=)").into(),
        error => io::Error::from(error).into(),
    }
}

fn too_many_groups(error: io::Error) -> ApplyError {
    if error.raw_os_error() == Some(libc::EMFILE) {
        let message =
            format!("too many fanotify groups: raise the sysctl {} (two for each container)", limits::SYSCTL);
        return io::Error::other(message).into();
    }
    error.into()
}

/// Asks for permission events on a file of our own, and lets go of it again.
pub(crate) fn try_permission_events() -> Result<(), String> {
    IgnoreFlags::probe().map(drop).map_err(|error| {
        format!("the kernel refuses fanotify permission events ({error}): it needs CONFIG_FANOTIFY_ACCESS_PERMISSIONS and CAP_SYS_ADMIN")
    })
}
