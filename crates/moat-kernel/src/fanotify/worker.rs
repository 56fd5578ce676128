//! The thread that answers for all containers.
//!
//! It takes one batch of events from each container that has some, in turn, so that a flood in one keeps no other waiting.
//! Commands come between the turns.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::{self, Errno};
use rustix::process::{Signal, pidfd_send_signal};

use super::container::Container;
use super::flood::{Flood, Key};
use super::group::{Event, Group, IgnoreFlags};
use super::judge::{Answer, Judge, Judgement};
use crate::record::{Record, Sink};

/// Files left alone at a time in one container. Their marks cost kernel memory where they pin inodes (before Linux 5.19).
const MOST_IGNORED: usize = 16_384;

/// How long an opener may be kept from falling asleep, by others or by its container's own quota, before it is judged by
/// everything that it might want. The kernel's usual period of a quota is 100 ms.
const FALLING_ASLEEP: Duration = Duration::from_millis(250);
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// What ruled paths lead to is looked up again at most this often.
const REFRESH: Duration = Duration::from_secs(1);

/// How long to look for the next event before sleeping. To wake a sleeping processor takes longer than to judge an open,
/// and most processes open several files in a row.
const LINGER: Duration = Duration::from_micros(50);

/// Epoll's data of the descriptor that wakes the thread for a command. Containers count from 1.
const WAKE: u64 = 0;

pub(super) enum Command {
    /// Holds the container's rules from the reply on. With the groups of a container that is already held, its rules are
    /// replaced, and no open passes in between.
    Hold {
        container: Box<Container>,
        group: Arc<Group>,
        changes: Option<Arc<Group>>,
        done: SyncSender<std::io::Result<()>>,
    },
    Release {
        cgroup: u64,
    },
    Stop,
}

/// What was lost, for [`moat_event::Loss`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Overflows of the kernel's queue.
    pub overflows: AtomicU64,
    /// Opens that the kernel could not ask about and refused, or whose answer it did not take.
    pub failed: AtomicU64,
}

struct Watched {
    container: Container,
    group: Arc<Group>,
    /// Tells of files that got new names; without it, nothing is ignored.
    changes: Option<Arc<Group>>,
    flood: Flood,
    ignored: usize,
    /// When to look up again what ruled paths lead to.
    refresh: Option<Instant>,
    /// Openers that were still on their way to sleep. At most one for each thread of the container.
    deferred: Vec<Deferred>,
}

/// An event to be judged again.
struct Deferred {
    event: Event,
    first: Instant,
}

pub(super) struct Worker {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    commands: Receiver<Command>,
    judge: Judge,
    ignore: IgnoreFlags,
    sink: Sink,
    counters: Arc<Counters>,
    watched: HashMap<u64, Watched>,
    /// Number of the container's descriptors in epoll, by cgroup.
    tokens: HashMap<u64, u64>,
    next_token: u64,
    events: Vec<Event>,
}

impl Worker {
    pub fn new(
        judge: Judge,
        ignore: IgnoreFlags,
        sink: Sink,
        counters: Arc<Counters>,
        wake: Arc<OwnedFd>,
        commands: Receiver<Command>,
    ) -> std::io::Result<Worker> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &*wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Worker {
            epoll,
            wake,
            commands,
            judge,
            ignore,
            sink,
            counters,
            watched: HashMap::new(),
            tokens: HashMap::new(),
            next_token: 1,
            events: Vec::new(),
        })
    }

    /// Until [`Command::Stop`], or until no one is left to send it.
    pub fn run(mut self) {
        let mut ready = Vec::with_capacity(64);
        let mut linger: Option<Instant> = None;
        loop {
            ready.clear();
            let timeout = if linger.is_some() { Some(Timespec::default()) } else { self.timeout() };
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut ready), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot wait for permission events; what waits is let go");
                    self.release_all();
                    return;
                }
            }
            if ready.is_empty() && linger.is_some_and(|until| Instant::now() < until) {
                // The one that we wait for may be waiting for this processor.
                std::thread::yield_now();
                continue;
            }
            linger = (!ready.is_empty()).then(|| Instant::now() + LINGER);
            for event in &ready {
                match event.data.u64() {
                    WAKE => {
                        if !self.obey() {
                            self.release_all();
                            return;
                        }
                    }
                    token => self.serve(token),
                }
            }
            self.judge_deferred();
            self.flush(Instant::now());
        }
    }

    fn judge_deferred(&mut self) {
        for watched in self.watched.values_mut().filter(|watched| !watched.deferred.is_empty()) {
            for Deferred { event, first } in std::mem::take(&mut watched.deferred) {
                answer(&mut self.judge, watched, event, first, self.ignore, &self.sink, &self.counters);
            }
        }
    }

    /// Until the next window ends or the next look-up is due.
    fn timeout(&self) -> Option<Timespec> {
        let due = self
            .watched
            .values()
            .flat_map(|watched| {
                let deferred = (!watched.deferred.is_empty()).then(|| Instant::now() + LOOK_AGAIN);
                watched.flood.due().into_iter().chain(watched.refresh).chain(deferred)
            })
            .min()?;
        let left = due.saturating_duration_since(Instant::now());
        // Rounded up, so that it is due when we wake.
        Timespec::try_from(left + Duration::from_millis(1)).ok()
    }

    fn flush(&mut self, now: Instant) {
        for watched in self.watched.values_mut() {
            if watched.flood.due().is_some_and(|due| due <= now) {
                watched.flood.flush(now).for_each(|record| self.sink.put(record));
            }
            if watched.refresh.is_some_and(|due| due <= now) {
                watched.refresh = None;
                let container = &mut watched.container;
                match container.identities.refresh(container.root.directory.as_fd()) {
                    Ok(false) => {}
                    Ok(true) => forget_ignored(watched),
                    Err(error) => {
                        let cgroup = container.cgroup;
                        tracing::warn!(%error, cgroup, "cannot look up ruled paths again");
                    }
                }
            }
        }
    }

    /// False when the thread is to end.
    fn obey(&mut self) -> bool {
        let mut count = [0; 8];
        // The count itself says nothing; commands wait in their channel.
        let _ = io::read(&*self.wake, &mut count);
        loop {
            match self.commands.try_recv() {
                Ok(Command::Hold { container, group, changes, done }) => {
                    // The one who asked may have given up; the rules hold all the same.
                    let _ = done.send(self.hold(*container, group, changes));
                }
                Ok(Command::Release { cgroup }) => self.release(cgroup),
                Ok(Command::Stop) | Err(std::sync::mpsc::TryRecvError::Disconnected) => return false,
                Err(std::sync::mpsc::TryRecvError::Empty) => return true,
            }
        }
    }

    fn hold(
        &mut self,
        container: Container,
        group: Arc<Group>,
        changes: Option<Arc<Group>>,
    ) -> std::io::Result<()> {
        let cgroup = container.cgroup;
        self.judge.forget(cgroup);
        if let Some((token, watched)) =
            self.tokens.get(&cgroup).and_then(|token| Some((token, self.watched.get_mut(token)?)))
            && Arc::ptr_eq(&watched.group, &group)
        {
            if let (None, Some(changes)) = (&watched.changes, changes) {
                epoll::add(&self.epoll, &*changes, EventData::new_u64(token + 1), EventFlags::IN)?;
                watched.changes = Some(changes);
            }
            // First the rules, then what was ignored under the old ones.
            watched.container = container;
            watched.ignored = 0;
            watched.flood.flush(Instant::now()).for_each(|record| self.sink.put(record));
            watched.flood = Flood::default();
            return watched.group.flush_ignored();
        }
        let token = self.next_token;
        self.next_token += 2;
        epoll::add(&self.epoll, &*group, EventData::new_u64(token), EventFlags::IN)?;
        if let Some(changes) = &changes {
            epoll::add(&self.epoll, &**changes, EventData::new_u64(token + 1), EventFlags::IN)?;
        }
        let flood = Flood::default();
        self.release(cgroup);
        self.watched.insert(
            token,
            Watched { container, group, changes, flood, ignored: 0, refresh: None, deferred: Vec::new() },
        );
        self.tokens.insert(cgroup, token);
        Ok(())
    }

    fn release(&mut self, cgroup: u64) {
        self.judge.forget(cgroup);
        let Some(mut watched) = self.tokens.remove(&cgroup).and_then(|token| self.watched.remove(&token))
        else {
            return;
        };
        watched.flood.flush(Instant::now()).for_each(|record| self.sink.put(record));
        watched.deferred.clear();
        let _ = epoll::delete(&self.epoll, &*watched.group);
        if let Err(error) = watched.group.shut() {
            tracing::warn!(%error, cgroup, "cannot remove the marks of a container");
        }
        if let Some(changes) = &watched.changes {
            let _ = epoll::delete(&self.epoll, &**changes);
        }
    }

    fn release_all(&mut self) {
        for cgroup in self.tokens.keys().copied().collect::<Vec<_>>() {
            self.release(cgroup);
        }
    }

    /// One turn of one container.
    fn serve(&mut self, token: u64) {
        // Odd numbers are the groups that ask, even ones those that tell.
        let asks = token % 2 == 1;
        let number = if asks { token } else { token - 1 };
        let Some(watched) = self.watched.get_mut(&number) else { return };
        if let Some(changes) = &watched.changes {
            // Before any event: what was ignored may have come under a rule.
            if changes.drain().unwrap_or(true) {
                forget_ignored(watched);
            }
        }
        if !asks {
            return;
        }
        self.events.clear();
        if let Err(error) = watched.group.read(&mut self.events)
            && !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        {
            // The kernel could not open the file for us, and has refused that open itself.
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
            let cgroup = watched.container.cgroup;
            tracing::debug!(%error, cgroup, "an open was refused because it could not be judged");
        }
        if !self.events.is_empty() && !watched.container.identities.is_empty() {
            watched.refresh.get_or_insert_with(|| Instant::now() + REFRESH);
        }
        for event in self.events.drain(..) {
            answer(&mut self.judge, watched, event, Instant::now(), self.ignore, &self.sink, &self.counters);
        }
    }
}

fn forget_ignored(watched: &mut Watched) {
    if watched.ignored == 0 {
        return;
    }
    watched.ignored = 0;
    if let Err(error) = watched.group.flush_ignored() {
        tracing::warn!(%error, cgroup = watched.container.cgroup, "cannot take back marks on files");
    }
}

fn answer(
    judge: &mut Judge,
    watched: &mut Watched,
    mut event: Event,
    first: Instant,
    ignore: IgnoreFlags,
    sink: &Sink,
    counters: &Counters,
) {
    let Some(file) = event.file.take() else {
        if event.mask & libc::FAN_Q_OVERFLOW != 0 {
            counters.overflows.fetch_add(1, Ordering::Relaxed);
        }
        return;
    };
    let cache = watched.changes.is_some();
    let Judgement { answer, finding } =
        judge.judge(&watched.container, &event, file.as_fd(), cache, first.elapsed() < FALLING_ASLEEP);
    if matches!(answer, Answer::Later) {
        event.file = Some(file);
        watched.deferred.push(Deferred { event, first });
        return;
    }
    let record = finding.and_then(|finding| {
        let container = &watched.container;
        let key = Key {
            enforced: finding.enforced,
            audited: finding.audited,
            outcome: finding.outcome,
            act: Some(finding.act.clone()),
            executable: finding.executable.clone(),
        };
        watched.flood.count(key, Instant::now(), || Record {
            cgroup: container.cgroup,
            generation: container.rules.generation,
            enforced: finding.enforced,
            audited: finding.audited,
            outcome: finding.outcome,
            process: judge.describe(container, &finding),
            act: finding.act,
            count: 1,
        })
    });
    let allow = matches!(answer, Answer::Allow | Answer::Ignore(_));
    match &answer {
        Answer::Ignore(mask) => {
            if watched.ignored >= MOST_IGNORED {
                forget_ignored(watched);
            }
            // Refused for want of memory, it costs the next open another question.
            if watched.group.ignore(ignore, file.as_fd(), *mask).is_ok() {
                watched.ignored += 1;
            }
        }
        // Killed before it is answered: it must not run on with the error.
        Answer::Kill(process) => {
            if let Err(error) = pidfd_send_signal(process, Signal::KILL) {
                tracing::debug!(%error, "the process to kill is gone");
            }
        }
        Answer::Allow | Answer::Deny | Answer::Later => {}
    }
    match watched.group.respond(file, allow) {
        Ok(()) => {}
        // The opener was killed while it waited.
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
        Err(error) => {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "the kernel did not take an answer");
        }
    }
    if let Some(record) = record {
        sink.put(record);
    }
}
