//! What containers do, whether or not a rule speaks of it (`bpf/observe.h`): the programs that see it, and the thread that
//! reads what they tell.
//!
//! The kernel tells the first of many that are alike and counts the others. This thread remembers what it was told, takes the
//! counts away when they are old enough, and so makes the next one be told again. The driver without an agent has no use
//! for any of it: nothing here is pinned.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore, MapFlags, MapHandle, RingBufferBuilder};
use moat_event::Origin;
use rustix::time::{ClockId, clock_gettime};

use super::holds::source_of;
use super::object::{Loaded, RING_POLL};
use super::pins::Attachment;
use super::record_bytes::{KEY, decode_observation};
use super::{DriverConfig, LoadError, Tasks};
use crate::record::{Act, RawProcess};
use crate::{ContainerScope, Observation, Sink, process};

/// The programs.
pub(crate) const OBSERVE: &[&str] = &["moat_observe_exec", "moat_observe_connect"];

/// How long what is alike is counted before the count is told.
const COUNTED: Duration = Duration::from_secs(30);
/// How often counts are looked at.
const SWEEP: Duration = Duration::from_secs(10);
/// How much of what was told is remembered, in bytes as it came.
const REMEMBERED: usize = 16 << 20;

/// `struct observing` before anything was lost. The seed is the kernel's own to hash by.
pub(super) fn observing(seed: u64) -> [u8; 16] {
    let mut own = [0; 16];
    own[..8].copy_from_slice(&seed.to_ne_bytes());
    own
}

/// What was lost, in a `struct observing`.
pub(super) fn lost(observing: &[u8]) -> u64 {
    long(observing, 8)
}

/// `struct observed`: when it was told, on the clock of the programs, and how often it was done after that.
pub(super) fn counted(observed: &[u8]) -> (Duration, u64) {
    (Duration::from_nanos(long(observed, 0)), long(observed, 8))
}

/// Calls `load` with the programs, where they are asked for and this kernel takes them, else without: rules are held all the
/// same.
pub(crate) fn load<T>(
    config: &DriverConfig,
    mut load: impl FnMut(&[&'static str]) -> Result<T, LoadError>,
) -> Result<T, LoadError> {
    if config.observations.is_none() {
        return load(&[]);
    }
    load(OBSERVE).or_else(|error| {
        let loaded = load(&[])?;
        tracing::warn!(%error, "what containers do cannot be observed here; only what rules speak of is told");
        Ok(loaded)
    })
}

/// Owns the attached programs and the reading thread; dropping it tells what was counted and ends both.
#[derive(Debug)]
pub(super) struct Observer {
    links: Vec<Attachment>,
    sink: Sink<Observation>,
    lost: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Observer {
    /// Attaches the programs; `None`, and the log says why, where that cannot be. They come after those that note what a task
    /// is to its container.
    pub fn start(loaded: &mut Loaded, sink: &Sink<Observation>) -> Option<Observer> {
        if !OBSERVE.iter().all(|name| loaded.programs().contains(name)) {
            return None;
        }
        Observer::try_start(loaded, sink)
            .inspect_err(|error| tracing::warn!(%error, "what containers do cannot be observed"))
            .ok()
    }

    fn try_start(loaded: &mut Loaded, sink: &Sink<Observation>) -> Result<Observer, LoadError> {
        let own = loaded.map("observing")?;
        own.update(&0u32.to_ne_bytes(), &observing(RandomState::new().hash_one(0)), MapFlags::ANY)?;
        let ring = loaded.map("observations")?;
        let mut state = State {
            observed: loaded.map("observed")?,
            own,
            sink: sink.clone(),
            remembered: HashMap::new(),
            bytes: 0,
            forgotten: 0,
        };
        let (lost, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&lost), Arc::clone(&stop));
        let thread = std::thread::Builder::new().name(String::from("moat-observe")).spawn(move || {
            if let Err(error) = state.run(&ring, &stopped, &counted) {
                tracing::error!(%error, "reading what containers do has ended");
            }
        })?;
        let mut observer =
            Observer { links: Vec::new(), sink: sink.clone(), lost, stop, thread: Some(thread) };
        for name in OBSERVE {
            observer.links.push(loaded.attach(None, name)?);
        }
        Ok(observer)
    }

    /// Tells what was not seen as it happened.
    pub fn tell(&self, seen: Observation) {
        self.sink.put(seen);
    }

    /// What was not told since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) + self.sink.lost()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.links.clear();
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct State {
    observed: MapHandle,
    own: MapHandle,
    sink: Sink<Observation>,
    /// What was told, by the key that the kernel counts more of it by, and how long it was.
    remembered: HashMap<[u8; KEY], (Observation, usize)>,
    bytes: usize,
    /// What was counted of what is not remembered.
    forgotten: u64,
}

impl State {
    fn run(&mut self, ring: &MapHandle, stop: &AtomicBool, lost: &AtomicU64) -> Result<(), libbpf_rs::Error> {
        let state = std::cell::RefCell::new(self);
        let mut builder = RingBufferBuilder::new();
        builder.add(ring, |bytes| {
            state.borrow_mut().told(bytes);
            0
        })?;
        let ring = builder.build()?;
        let mut next = Instant::now() + SWEEP;
        while !stop.load(Ordering::Relaxed) {
            match ring.poll(RING_POLL) {
                // Whoever stops the agent and lets it go on ends the wait, and no more than that.
                Err(error) if error.kind() == libbpf_rs::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            if Instant::now() >= next {
                lost.store(state.borrow_mut().sweep(COUNTED), Ordering::Relaxed);
                next = Instant::now() + SWEEP;
            }
        }
        // The programs are gone: what there is, is all.
        ring.consume()?;
        lost.store(state.borrow_mut().sweep(Duration::ZERO), Ordering::Relaxed);
        Ok(())
    }

    fn told(&mut self, bytes: &[u8]) {
        let (key, seen) = match decode_observation(bytes) {
            Ok(told) => told,
            Err(error) => {
                tracing::error!(%error, "the kernel sent bytes that are no observation");
                return;
            }
        };
        self.forget(&key);
        if self.bytes + bytes.len() <= REMEMBERED {
            self.bytes += bytes.len();
            self.remembered.insert(key, (seen.clone(), bytes.len()));
        }
        self.sink.put(seen);
    }

    fn forget(&mut self, key: &[u8; KEY]) -> Option<Observation> {
        let (seen, bytes) = self.remembered.remove(key)?;
        self.bytes -= bytes;
        Some(seen)
    }

    /// Tells the counts of what was told at least so long ago, and lets the kernel forget it. What was lost so far.
    fn sweep(&mut self, age: Duration) -> u64 {
        let before = now().saturating_sub(age);
        let keys: Vec<Vec<u8>> = self.observed.keys().collect();
        for key in keys {
            let told = self.observed.lookup(&key, MapFlags::ANY).ok().flatten();
            if told.is_none_or(|told| counted(&told).0 > before) {
                continue;
            }
            let (Ok(Some(value)), Ok(key)) =
                (self.observed.lookup_and_delete(&key), <[u8; KEY]>::try_from(key.as_slice()))
            else {
                continue;
            };
            match (counted(&value).1, self.forget(&key)) {
                (0, _) => {}
                (more, Some(seen)) => self.sink.put(Observation { count: more, ..seen }),
                (more, None) => self.forgotten += more,
            }
        }
        let own = self.own.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).ok().flatten().unwrap_or_default();
        lost(&own) + self.forgotten
    }
}

/// The clock of the programs.
fn now() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or_default())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes)
}

/// The program that a process of a container has been running since before it could be seen to execute it; `None` of the
/// runtime on its way in, and of what has ended.
pub(super) fn running(pid: u32, scope: &ContainerScope, tasks: &Tasks) -> Option<Observation> {
    if tasks.is_runtime(pid) {
        return None;
    }
    let origin = Some(tasks.origin(pid).unwrap_or(Origin::Entrypoint));
    let mut seen = RawProcess { pid, uid: process::uid(pid)?, origin, ..RawProcess::default() };
    process::complete(&mut seen);
    if seen.executable.is_empty() {
        return None;
    }
    let act = Act::Exec { path: seen.executable.clone(), source: source_of(pid, scope) };
    Some(Observation { cgroup: scope.cgroup, process: seen, act, count: 1 })
}
