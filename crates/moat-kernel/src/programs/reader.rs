//! The thread that reads what the programs send.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use libbpf_rs::{MapCore, MapFlags, MapHandle, RingBufferBuilder};
use moat_policy::activity::{Actor, FileAccess};
use moat_policy::model::RuleAction;
use moat_policy::{Activity, Verdict};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::life::Life;
use super::object::{Loaded, RING_POLL};
use super::record_bytes::{Decoded, FileCall, TAMPER, Tampering, decode};
use super::{Judges, LoadError, calls, file_calls, holds};
use crate::driver::Held;
use crate::record::{Act, Outcome, RawProcess, Record};
use crate::{Sink, process};

/// `enum counter` in `bpf/maps.h`: only what is lost for good counts here.
const COUNTER_RING_FULL: u32 = 0;
/// What must not be lost, and is said in the log if it is.
const FAULTS: [(u32, &str); 4] = [
    (3, "tasks lost what they are to their container: a container start among them was not held"),
    (4, "container starts were killed because too many waited at once"),
    (5, "arguments of executions could not be read: they counted as matching"),
    (8, "ancestors of new processes could not be kept: rules on parents know those by the kernel's tree"),
];
/// Container starts that did not wait, for no agent was there.
pub(super) const COUNTER_UNHELD: u32 = 7;

/// Owns the reading thread; dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    judges: Judges,
    sink: Sink,
    held: SyncSender<Held>,
    holds: MapHandle,
    counters: MapHandle,
    suppressed: MapHandle,
    life: Arc<Mutex<Life>>,
    /// Held starts that the agent was told of.
    told: HashSet<u32>,
    /// Records that were lost before our time, and told of by an agent before us.
    lost_before: u64,
    /// System calls that were never decided on, because their container was above its allowance.
    unjudged: u64,
}

impl Reader {
    pub fn start(
        loaded: &Loaded,
        life: Arc<Mutex<Life>>,
        judges: Judges,
        sink: Sink,
        held: SyncSender<Held>,
    ) -> Result<Reader, LoadError> {
        let (records, hold_ring) = (loaded.map("records")?, loaded.map("hold_ring")?);
        let mut state = State {
            judges,
            sink,
            held,
            holds: loaded.map("holds")?,
            counters: loaded.map("counters")?,
            suppressed: loaded.map("suppressed")?,
            lost_before: life.lock().map_or(0, |life| life.told(COUNTER_RING_FULL)),
            life,
            told: HashSet::new(),
            unjudged: 0,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let lost = Arc::new(AtomicU64::new(0));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&lost));
        let thread = std::thread::Builder::new().name(String::from("moat-records")).spawn(move || {
            if let Err(error) = state.run(&records, &hold_ring, &stopped, &counted) {
                tracing::error!(%error, "reading kernel records ended");
            }
        })?;
        Ok(Reader { stop, lost, thread: Some(thread) })
    }

    /// Records that did not fit into the kernel's ring.
    pub fn lost_in_kernel(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl State {
    fn run(
        &mut self,
        records: &MapHandle,
        hold_ring: &MapHandle,
        stop: &AtomicBool,
        lost: &AtomicU64,
    ) -> Result<(), libbpf_rs::Error> {
        let state = std::cell::RefCell::new(self);
        let mut builder = RingBufferBuilder::new();
        builder.add(hold_ring, |bytes| {
            if let Some(pid) = bytes.first_chunk::<4>() {
                state.borrow_mut().hold(u32::from_ne_bytes(*pid));
            }
            0
        })?;
        builder.add(records, |bytes| {
            state.borrow_mut().record(bytes);
            0
        })?;
        let ring = builder.build()?;
        while !stop.load(Ordering::Relaxed) {
            match ring.poll(RING_POLL) {
                // Whoever stops the agent and lets it go on ends the wait, and no more than that.
                Err(error) if error.kind() == libbpf_rs::ErrorKind::Interrupted => {}
                polled => polled?,
            }
            let mut state = state.borrow_mut();
            state.sweep();
            state.tell_faults();
            lost.store(state.lost(), Ordering::Relaxed);
            state.beat();
        }
        Ok(())
    }

    fn hold(&mut self, pid: u32) {
        let Some(cgroup) = holds::cgroup_of(&self.holds, pid) else { return };
        // The agent asks again by sweeping where this queue is full.
        if self.held.try_send(Held { cgroup, pid }).is_ok() {
            self.told.insert(pid);
        }
    }

    /// Notices that were lost on the way: no start may wait unheard.
    fn sweep(&mut self) {
        let waiting = holds::waiting(&self.holds);
        self.told.retain(|pid| waiting.contains(pid));
        for pid in waiting {
            if !self.told.contains(&pid) {
                self.hold(pid);
            }
        }
        self.drain_suppressed();
    }

    /// What was above a container's allowance comes as counts.
    fn drain_suppressed(&mut self) {
        let keys: Vec<Vec<u8>> = self.suppressed.keys().collect();
        for key in keys {
            let Ok(Some(value)) = self.suppressed.lookup_and_delete(&key) else { continue };
            let count = value.first_chunk::<8>().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            match suppressed_record(&key, count) {
                Some(record) => self.sink.put(record),
                None => self.unjudged += count,
            }
        }
    }

    fn lost(&self) -> u64 {
        self.counter(COUNTER_RING_FULL).saturating_sub(self.lost_before) + self.unjudged
    }

    fn tell_faults(&mut self) {
        let Ok(mut life) = self.life.lock() else { return };
        for (counter, what) in FAULTS {
            let count = self.counter(counter);
            let told = life.told(counter);
            if count > told {
                tracing::error!(count = count - told, "{what}");
                life.tell(counter, count);
            }
        }
    }

    fn beat(&self) {
        let Ok(mut life) = self.life.lock() else { return };
        for counter in [COUNTER_RING_FULL, COUNTER_UNHELD] {
            life.tell(counter, self.counter(counter));
        }
        life.beat();
    }

    fn counter(&self, which: u32) -> u64 {
        counter(&self.counters, which)
    }

    fn record(&mut self, bytes: &[u8]) {
        match decode(bytes, calls::name) {
            Ok(Decoded::Record(mut record)) => {
                self.end_refused(&mut record);
                process::complete(&mut record.process);
                self.sink.put(record);
            }
            Ok(Decoded::FileCall(call)) => self.file_call(&call),
            Ok(Decoded::Tampering(tampering)) => self.sink.put(tampered(tampering)),
            Err(error) => tracing::error!(%error, "the kernel sent bytes that are no record"),
        }
    }

    /// Kills a process whose connection was refused by a rule that says so, where the program that refused it could not.
    fn end_refused(&self, record: &mut Record) {
        if record.outcome != Outcome::Denied || record.process.pid == 0 {
            return;
        }
        let action = || {
            let judges = self.judges.read().ok()?;
            let judge = judges.get(&record.cgroup).filter(|judge| judge.generation == record.generation)?;
            Some(judge.index.rules().rules.get(record.enforced?)?.action)
        };
        if action().is_some_and(|action| action >= RuleAction::KillProcess) && end(record.process.pid).is_ok()
        {
            record.outcome = Outcome::Killed;
        }
    }

    /// Decides on a call that has already taken effect.
    fn file_call(&self, call: &FileCall) {
        let Some(judge) = self.judges.read().ok().and_then(|judges| judges.get(&call.cgroup).cloned()) else {
            return;
        };
        let mut actor =
            RawProcess { pid: call.pid, parent_pid: call.parent_pid, uid: call.uid, ..RawProcess::default() };
        process::complete(&mut actor);
        for (path, operation) in file_calls::effects(call) {
            let activity = Activity::File(FileAccess {
                path: &path,
                operation,
                actor: Actor { executable: &actor.executable, uid: call.uid },
            });
            let decision = judge.index.decide(&activity);
            let rank = |verdict: Verdict<'_>| match verdict {
                Verdict::Match { index, .. } => Some(index),
                Verdict::NoMatch | Verdict::NeedsArguments => None,
            };
            let (enforced, audited) = (rank(decision.enforced), rank(decision.audited));
            if enforced.is_none() && audited.is_none() {
                continue;
            }
            // Block cannot be held here, and killing is more than it asks for.
            let kill = decision.enforced.rule().is_some_and(|rule| rule.action >= RuleAction::KillProcess);
            let outcome = if kill && end(call.pid).is_ok() { Outcome::KilledAfter } else { Outcome::Allowed };
            self.sink.put(Record {
                cgroup: call.cgroup,
                generation: judge.generation,
                enforced,
                audited,
                outcome,
                process: actor.clone(),
                act: Act::File { path, operation },
                count: 1,
            });
        }
    }
}

/// Summed over the processors.
pub(super) fn counter(counters: &MapHandle, which: u32) -> u64 {
    let Ok(Some(values)) = counters.lookup_percpu(&which.to_ne_bytes(), MapFlags::ANY) else {
        return 0;
    };
    values.iter().filter_map(|value| value.first_chunk::<8>()).map(|bytes| u64::from_ne_bytes(*bytes)).sum()
}

/// Ends what was moved out of a container.
fn tampered(Tampering { mut record, moved }: Tampering) -> Record {
    if let Some(moved) = moved {
        // The one that moved it has been killed in the kernel; often it is the same.
        let _ = end(moved);
    }
    process::complete(&mut record.process);
    record
}

fn end(pid: u32) -> io::Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(io::ErrorKind::InvalidInput)?;
    let descriptor = pidfd_open(pid, PidfdFlags::empty())?;
    Ok(pidfd_send_signal(&descriptor, Signal::KILL)?)
}

/// `struct suppressed_key`: which rule, without the particulars.
pub(super) fn suppressed_record(key: &[u8], count: u64) -> Option<Record> {
    let long = |at: usize| Some(u64::from_ne_bytes(key.get(at..at + 8)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(key.get(at..at + 4)?.try_into().ok()?));
    let rank = |word: u32| (word != u32::MAX).then_some(word as usize);
    let outcome = match word(28)? {
        0 => Outcome::Allowed,
        1 => Outcome::Denied,
        2 => Outcome::Killed,
        _ => Outcome::KilledAfter,
    };
    let (enforced, audited) = (rank(word(16)?), rank(word(20)?));
    let act = match word(24)? {
        TAMPER => Act::Tampering { what: "act on Moat" },
        _ if enforced.is_none() && audited.is_none() => return None,
        _ => Act::Repeated,
    };
    Some(Record {
        cgroup: long(0)?,
        generation: long(8)?,
        enforced,
        audited,
        outcome,
        process: RawProcess::default(),
        act,
        count,
    })
}
