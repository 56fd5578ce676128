//! Container starts that wait, stopped before their first instruction, until their container is known.

use std::collections::HashSet;
use std::fs;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use moat_event::Origin;
use moat_policy::activity::{Exec, FileSource};
use moat_policy::model::RuleAction;
use moat_policy::{Activity, Verdict};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Judge;
use super::tasks::{Role, Tasks};
use crate::record::{Act, Outcome, RawProcess, Record};
use crate::{ContainerScope, Sink, process};

/// The programs' map of waiting processes, by pid.
#[derive(Debug)]
pub(super) struct Holds {
    map: MapHandle,
}

/// `struct hold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub pid: u32,
    pub cgroup: u64,
    /// Boot time of the process in nanoseconds.
    pub started: u64,
}

impl Hold {
    pub fn read(pid: u32, value: &[u8]) -> Option<Hold> {
        let (cgroup, rest) = value.split_first_chunk::<8>()?;
        let started = rest.first_chunk::<8>()?;
        Some(Hold { pid, cgroup: u64::from_ne_bytes(*cgroup), started: u64::from_ne_bytes(*started) })
    }
}

impl Holds {
    pub fn new(map: MapHandle) -> Holds {
        Holds { map }
    }

    fn all(&self) -> Vec<Hold> {
        self.map
            .keys()
            .filter_map(|key| {
                let pid = u32::from_ne_bytes(key.try_into().ok()?);
                lookup(&self.map, pid)
            })
            .collect()
    }

    /// Takes over the starts that an agent before us held and could not let go: processes that are stopped before
    /// their first instruction.
    pub fn adopt(&self, cgroup: u64, members: &[u32]) {
        for &pid in members.iter().filter(|pid| lookup(&self.map, **pid).is_none() && waits_at_entry(**pid)) {
            let Some(started) = started(pid) else { continue };
            let mut hold = [0; 16];
            hold[..8].copy_from_slice(&cgroup.to_ne_bytes());
            hold[8..].copy_from_slice(&started.to_ne_bytes());
            if let Err(error) = self.map.update(&pid.to_ne_bytes(), &hold, MapFlags::ANY) {
                tracing::warn!(pid, %error, "cannot take over a start that waits");
            }
        }
    }

    /// The container's rules are in force: judges its waiting starts, then lets them go on or ends them. Those that it
    /// ended.
    pub fn settle(
        &self,
        scope: &ContainerScope,
        judge: Option<&Judge>,
        tasks: &Tasks,
        sink: &Sink,
    ) -> Vec<u32> {
        let mut ended = Vec::new();
        for hold in self.all().into_iter().filter(|hold| hold.cgroup == scope.cgroup) {
            let entrypoint = hold.pid == scope.init_pid;
            let role = if entrypoint { Role::Entrypoint } else { Role::Session };
            tasks.set(hold.pid, role, scope.cgroup);
            let origin = if entrypoint { Origin::Entrypoint } else { Origin::ExecSession };
            let allowed = judge.is_none_or(|judge| judge_start(hold, scope, judge, origin, sink));
            self.end(hold, if allowed { Signal::CONT } else { Signal::KILL });
            if !allowed {
                ended.push(hold.pid);
            }
        }
        ended
    }

    /// The container is gone, or nobody will judge it.
    pub fn let_go(&self, cgroup: u64) {
        for hold in self.all().into_iter().filter(|hold| hold.cgroup == cgroup) {
            self.end(hold, Signal::CONT);
        }
    }

    pub fn let_all_go(&self) {
        for hold in self.all() {
            self.end(hold, Signal::CONT);
        }
    }

    /// Sends the signal to the process that waited, unless its pid has become another's.
    fn end(&self, hold: Hold, signal: Signal) {
        let descriptor =
            Pid::from_raw(hold.pid.cast_signed()).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        if let Some(descriptor) = descriptor
            && started(hold.pid).is_some_and(|started| started.abs_diff(hold.started) < TICK)
        {
            let _ = pidfd_send_signal(&descriptor, signal);
        }
        let _ = self.map.delete(&hold.pid.to_ne_bytes());
    }
}

/// `/proc/PID/stat` counts in clock ticks of a hundredth of a second.
const TICK: u64 = 20_000_000;

/// When a process began, in nanoseconds since boot (proc(5), field 22 of `stat`).
fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = stat.rsplit_once(')')?;
    let ticks: u64 = after.split_whitespace().nth(19)?.parse().ok()?;
    Some(ticks * 10_000_000)
}

/// Whether a process is stopped and has not run an instruction of its program: its stack pointer still is where
/// the kernel set it (`proc_pid_stat(5)`, fields 3 and 28; `proc_pid_syscall(5)`).
fn waits_at_entry(pid: u32) -> bool {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let entry = || -> Option<bool> {
        let stat = read("stat")?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        if fields.next()? != "T" {
            return Some(false);
        }
        let start: u64 = fields.nth(24)?.parse().ok()?;
        let call = read("syscall")?;
        let pointer = call.split_whitespace().rev().nth(1)?.strip_prefix("0x")?.to_owned();
        Some(start != 0 && u64::from_str_radix(&pointer, 16).ok()? == start)
    };
    entry().unwrap_or(false)
}

/// The hold of a process.
fn lookup(map: &MapHandle, pid: u32) -> Option<Hold> {
    let value = map.lookup(&pid.to_ne_bytes(), MapFlags::ANY).ok()??;
    Hold::read(pid, &value)
}

/// The cgroup in which a process waits.
pub(super) fn cgroup_of(map: &MapHandle, pid: u32) -> Option<u64> {
    lookup(map, pid).map(|hold| hold.cgroup)
}

/// Processes that wait now.
pub(super) fn waiting(map: &MapHandle) -> HashSet<u32> {
    map.keys().filter_map(|key| Some(u32::from_ne_bytes(key.try_into().ok()?))).collect()
}

/// Decides on the program that a waiting process has loaded. It is stopped: what `/proc` says of it stays.
fn judge_start(hold: Hold, scope: &ContainerScope, judge: &Judge, origin: Origin, sink: &Sink) -> bool {
    let mut actor = RawProcess { pid: hold.pid, origin: Some(origin), ..RawProcess::default() };
    process::complete(&mut actor);
    actor.uid = process::uid(hold.pid).unwrap_or_default();
    let source = source_of(hold.pid, scope);
    let argv = fs::read(format!("/proc/{}/cmdline", hold.pid)).unwrap_or_default();
    let activity = Activity::Exec(Exec {
        path: &actor.executable,
        arguments: Some(&argv),
        ancestors: &[],
        uid: actor.uid,
        origin,
        source,
    });
    let decision = judge.index.decide(&activity);
    let rank = |verdict: Verdict<'_>| match verdict {
        Verdict::Match { index, .. } => Some(index),
        Verdict::NoMatch | Verdict::NeedsArguments => None,
    };
    let allowed = decision.enforced.rule().is_none_or(|rule| rule.action == RuleAction::Alert);
    let (enforced, audited) = (rank(decision.enforced), rank(decision.audited));
    if enforced.is_some() || audited.is_some() {
        sink.put(Record {
            cgroup: scope.cgroup,
            generation: judge.generation,
            enforced,
            audited,
            outcome: if allowed { Outcome::Allowed } else { Outcome::Killed },
            act: Act::Exec { path: actor.executable.clone(), source },
            process: actor,
            count: 1,
        });
    }
    allowed
}

/// Where the program of a waiting process comes from. A container that has only just begun can have changed
/// nothing of its image, but its program may lie on a volume or nowhere.
pub(super) fn source_of(pid: u32, scope: &ContainerScope) -> FileSource {
    use std::os::unix::fs::MetadataExt;
    let (Ok(program), Ok(root)) =
        (fs::metadata(format!("/proc/{pid}/exe")), fs::metadata(format!("/proc/{}/root", scope.init_pid)))
    else {
        return FileSource::Fileless;
    };
    if program.nlink() == 0 {
        FileSource::Fileless
    } else if program.dev() == root.dev() {
        FileSource::Image
    } else {
        FileSource::Added
    }
}
