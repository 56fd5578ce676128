//! Decides one permission event.
//!
//! A file has more than one name, so it is judged under each: the path that the container sees, the path by the mounts it
//! started with, and every ruled path that leads to the same inode. The stricter verdict wins.

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use moat_event::{FileOperation, Origin};
use moat_policy::activity::{Activity, Actor, Exec, FileAccess, FileSource};
use moat_policy::decision::Verdict;
use moat_policy::model::RuleAction;
use moat_policy::rule_set::Matcher;
use moat_policy::{Decision, EffectiveRule, RuleSet};
use rustix::io;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::container::{Container, Subject};
use super::describe::{Arguments, Describer, Source};
use super::group::{Event, Span};
use super::identity::{Alias, base_name};
use super::syscall::{EVERY_OPERATION, Purpose};
use super::task::{Processes, RuntimeTasks, Status, TaskDirectory};
use crate::record::{Act, Outcome, RawProcess};

/// More ancestors than this are not looked at.
const MOST_ANCESTORS: usize = 64;

/// Threads that are remembered; each takes a descriptor.
const MOST_MEMBERS: usize = 64;

/// What the kernel is told.
#[derive(Debug)]
pub(super) enum Answer {
    Allow,
    /// Allow, and do not ask again for these events on this file.
    Ignore(u64),
    Deny,
    /// Not yet: ask again.
    Later,
    /// Deny, and kill this process.
    Kill(OwnedFd),
}

/// An answer, and what a rule has to say about it.
#[derive(Debug)]
pub(super) struct Judgement {
    pub answer: Answer,
    pub finding: Option<Finding>,
}

impl From<Answer> for Judgement {
    fn from(answer: Answer) -> Judgement {
        Judgement { answer, finding: None }
    }
}

/// A matched rule and the act it matched.
#[derive(Debug)]
pub(super) struct Finding {
    pub enforced: Option<usize>,
    pub audited: Option<usize>,
    pub outcome: Outcome,
    pub act: Act,
    /// The program that acts, or that was to be executed.
    pub executable: Vec<u8>,
    tid: u32,
    status: Status,
    origin: Origin,
    arguments: Source,
}

/// Judges the events of all containers.
pub(super) struct Judge {
    tasks: Arc<dyn RuntimeTasks>,
    processes: Processes,
    describer: Describer,
    subject: Subject,
    /// Threads known to belong to a container (by its cgroup). Only the node could move one out, which then stays held.
    members: HashMap<(u64, u32), TaskDirectory>,
}

impl Judge {
    pub fn new(tasks: Arc<dyn RuntimeTasks>) -> std::io::Result<Judge> {
        let processes = Processes::open()?;
        let (describer, subject) = (Describer::start()?, Subject::default());
        Ok(Judge { tasks, processes, describer, subject, members: HashMap::new() })
    }

    /// `cache` says whether new names of files are noticed, `patient` whether the answer may be to ask again.
    pub fn judge(
        &mut self,
        container: &Container,
        event: &Event,
        file: BorrowedFd<'_>,
        cache: bool,
        patient: bool,
    ) -> Judgement {
        let mut subject = std::mem::take(&mut self.subject);
        let judgement = match container.locate(file, event.tid, &mut self.processes, &mut subject) {
            // Of a file that cannot be told, nothing is known to be ruled; the kernel gives no such file in practice.
            Err(_) => Answer::Deny.into(),
            Ok(()) if event.mask & libc::FAN_OPEN_EXEC_PERM != 0 => {
                self.judge_execution(container, event, &subject, cache)
            }
            Ok(()) => self.judge_open(container, event, &subject, cache, patient),
        };
        self.subject = subject;
        judgement
    }

    fn judge_open(
        &mut self,
        container: &Container,
        event: &Event,
        subject: &Subject,
        cache: bool,
        patient: bool,
    ) -> Judgement {
        if !subject.unplaced && !names(container, subject).any(|path| container.index.concerns_file(path)) {
            let directory = if subject.directory { libc::FAN_ONDIR } else { 0 };
            return leave_alone(container, subject, cache, libc::FAN_OPEN_PERM | directory).into();
        }
        let Some(executable) = self.member(container, event.tid) else { return Answer::Allow.into() };
        // Only what rules ask for is looked up, and only as far as they differ by it: each look takes as long as the judging.
        let mut status = None;
        let mut uid = 0;
        if container.asks_file_users {
            let Ok(known) = self.processes.status(event.tid) else { return Answer::Allow.into() };
            uid = container.uids.inside(known.uid);
            status = Some(known);
        }
        let actor = Actor { executable: &executable, uid };
        let decide = |operations: &mut dyn Iterator<Item = FileOperation>| {
            let mut strictest = Strictest::default();
            for operation in operations {
                for path in names(container, subject) {
                    let access = FileAccess { path, operation, actor };
                    strictest.add(&container.index.decide(&Activity::File(access)), operation);
                }
            }
            strictest
        };
        if !subject.unplaced && decide(&mut EVERY_OPERATION.into_iter()).is_empty() {
            return Answer::Allow.into();
        }
        let purpose = self.processes.purpose(event.tid);
        match purpose {
            Purpose::Execute { .. } => return Answer::Allow.into(),
            Purpose::Awake if patient => return Answer::Later.into(),
            Purpose::Awake | Purpose::Open { .. } | Purpose::Unknown => {}
        }
        let mut strictest = decide(&mut purpose.operations(subject.new));
        if subject.unplaced {
            strictest.add_enforced(first_file_rule(&container.rules), FileOperation::Read);
        }
        if strictest.is_empty() {
            return Answer::Allow.into();
        }
        let Some(status) = status.or_else(|| self.processes.status(event.tid).ok()) else {
            return Answer::Allow.into();
        };
        if self.tasks.is_runtime(status.pid) {
            return Answer::Allow.into();
        }
        let operation = strictest.operation.unwrap_or(FileOperation::Read);
        let act = Act::File { path: subject.path.clone(), operation };
        self.conclude(container, event.tid, status, strictest, act, executable, Source::Process)
    }

    fn judge_execution(
        &mut self,
        container: &Container,
        event: &Event,
        subject: &Subject,
        cache: bool,
    ) -> Judgement {
        let concerns = |path: &[u8]| container.index.concerns_exec_from(path, FileSource::Image);
        if is_loader(&subject.path) || !names(container, subject).any(concerns) {
            return leave_alone(container, subject, cache, libc::FAN_OPEN_EXEC_PERM).into();
        }
        let Some(status) = self.status_within(container, event.tid) else { return Answer::Allow.into() };
        let ancestors =
            if container.asks_ancestors { self.ancestors(container, status.parent) } else { Vec::new() };
        let ancestors: Vec<&[u8]> = ancestors.iter().map(Vec::as_slice).collect();
        let exec = Exec {
            path: &subject.path,
            arguments: None,
            ancestors: &ancestors,
            uid: container.uids.inside(status.uid),
            origin: self.origin(container, status),
            source: FileSource::Image,
        };
        let strictest = judge_program(container, subject, exec);
        if strictest.enforced.is_none_or(|index| action(&container.rules, index) == Some(RuleAction::Alert)) {
            // The other half reports programs that do start.
            return Answer::Allow.into();
        }
        let arguments = match self.processes.purpose(event.tid) {
            Purpose::Execute { arguments } => Source::Vector(arguments),
            Purpose::Open { .. } | Purpose::Awake | Purpose::Unknown => Source::Process,
        };
        let act = Act::Exec { path: subject.path.clone(), source: exec.source };
        self.conclude(container, event.tid, status, strictest, act, subject.path.clone(), arguments)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a separate part of the finding")]
    fn conclude(
        &mut self,
        container: &Container,
        tid: u32,
        status: Status,
        strictest: Strictest,
        act: Act,
        executable: Vec<u8>,
        arguments: Source,
    ) -> Judgement {
        let Strictest { enforced, audited, .. } = strictest;
        if enforced.is_none() && audited.is_none() {
            return Answer::Allow.into();
        }
        let action = enforced.and_then(|index| action(&container.rules, index));
        let answer = match action {
            None | Some(RuleAction::Alert) => Answer::Allow,
            Some(RuleAction::Block) => Answer::Deny,
            Some(RuleAction::KillProcess | RuleAction::KillPod | RuleAction::Quarantine) => {
                self.handle(tid, status.pid).map_or(Answer::Deny, Answer::Kill)
            }
        };
        let outcome = match answer {
            Answer::Allow | Answer::Ignore(_) | Answer::Later => Outcome::Allowed,
            Answer::Deny => Outcome::Denied,
            Answer::Kill(_) => Outcome::Killed,
        };
        let origin = self.origin(container, status);
        let finding = Finding { enforced, audited, outcome, act, executable, tid, status, origin, arguments };
        Judgement { answer, finding: Some(finding) }
    }

    /// The executable of the acting process; `None` if that does not belong to the container.
    fn member(&mut self, container: &Container, tid: u32) -> Option<Vec<u8>> {
        let mut executable = Vec::new();
        let key = (container.cgroup, tid);
        // The directory of a thread that has ended leads nowhere, even if its number is in use again.
        let known = self.members.get(&key).is_some_and(|task| task.link("exe", &mut executable).is_ok());
        if !known {
            let task = self.processes.task(tid).ok()?;
            if !container.contains(tid, &mut self.processes) {
                return None;
            }
            if task.link("exe", &mut executable).is_err() {
                executable.clear();
            }
            if self.members.len() >= MOST_MEMBERS {
                self.members.clear();
            }
            self.members.insert(key, task);
        }
        Some(container.inside(&executable).to_vec())
    }

    /// The container's rules change, or it is let go.
    pub fn forget(&mut self, cgroup: u64) {
        self.members.retain(|(of, _), _| *of != cgroup);
    }

    /// The acting process, if it belongs to the container.
    fn status_within(&mut self, container: &Container, tid: u32) -> Option<Status> {
        if !container.contains(tid, &mut self.processes) {
            return None;
        }
        self.processes.status(tid).ok()
    }

    /// A handle on the process that is proven to be the one that waits for our answer.
    fn handle(&mut self, tid: u32, pid: u32) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(pid.try_into().ok()?)?, PidfdFlags::empty()).ok()?;
        (self.processes.status(tid).ok()?.pid == pid).then_some(handle)
    }

    fn executable(&self, container: &Container, pid: u32) -> Vec<u8> {
        self.processes.link(pid, "exe").map_or_else(|_| Vec::new(), |path| container.inside(&path).to_vec())
    }

    /// How the process came to be in the container. The runtime starts its own first process before the rules are known
    /// here, so that what it starts now is put in from outside.
    fn origin(&mut self, container: &Container, status: Status) -> Origin {
        self.tasks.origin(status.pid).unwrap_or_else(|| {
            let mut process = status;
            for _ in 0..MOST_ANCESTORS {
                if process.pid == container.init_pid {
                    return Origin::Entrypoint;
                }
                let Some(parent) = self.status_within(container, process.parent) else { break };
                process = parent;
            }
            Origin::ExecSession
        })
    }

    /// Executables of the ancestors within the container, from `pid` upwards.
    fn ancestors(&mut self, container: &Container, mut pid: u32) -> Vec<Vec<u8>> {
        let mut executables = Vec::new();
        while executables.len() < MOST_ANCESTORS {
            let Some(status) = self.status_within(container, pid) else { break };
            executables.push(self.executable(container, pid));
            if pid == container.init_pid {
                break;
            }
            pid = status.parent;
        }
        executables
    }

    /// What a record says of the process. Read while it still waits for its answer.
    pub fn describe(&mut self, container: &Container, finding: &Finding) -> RawProcess {
        let Arguments { bytes, truncated } = self.describer.arguments(finding.tid, finding.arguments);
        let inside = |path: io::Result<Vec<u8>>| {
            path.map_or_else(|_| Vec::new(), |path| container.inside(&path).to_vec())
        };
        RawProcess {
            pid: finding.status.pid,
            parent_pid: finding.status.parent,
            uid: finding.status.uid,
            executable: finding.executable.clone(),
            arguments: bytes,
            arguments_truncated: truncated,
            cwd: inside(self.processes.link(finding.status.pid, "cwd")),
            parent_executable: inside(self.processes.link(finding.status.parent, "exe")),
            origin: Some(finding.origin),
        }
    }
}

/// Every path that the file is judged under.
fn names<'a>(container: &'a Container, subject: &'a Subject) -> impl Iterator<Item = &'a [u8]> {
    subject.paths().chain(aliases(container, subject).iter().map(|alias| &*alias.path))
}

fn aliases<'a>(container: &'a Container, subject: &Subject) -> &'a [Alias] {
    subject.identity.map_or(&[], |identity| container.identities.aliases(identity))
}

/// No rule can speak of this file: allowed, and not asked about again where a new name of it would be noticed (`cache`),
/// or where it is the image's: a file on its way to a ruled name, written under another one first, is not.
fn leave_alone(container: &Container, subject: &Subject, cache: bool, mask: u64) -> Answer {
    let cache = (cache || subject.settled) && subject.on_root && container.root.span == Span::Filesystem;
    if cache { Answer::Ignore(mask) } else { Answer::Allow }
}

/// The strongest rules that matched: the lowest index is the first in the total order.
#[derive(Debug, Default, Clone, Copy)]
struct Strictest {
    enforced: Option<usize>,
    audited: Option<usize>,
    /// Of the enforced rule, else of the audited one.
    operation: Option<FileOperation>,
}

impl Strictest {
    fn is_empty(&self) -> bool {
        self.enforced.is_none() && self.audited.is_none()
    }

    fn add(&mut self, decision: &Decision<'_>, operation: FileOperation) {
        self.add_enforced(index(decision.enforced), operation);
        let audited = stronger(self.audited, index(decision.audited));
        if audited != self.audited && self.enforced.is_none() {
            self.operation = Some(operation);
        }
        self.audited = audited;
    }

    fn add_enforced(&mut self, index: Option<usize>, operation: FileOperation) {
        let enforced = stronger(self.enforced, index);
        if enforced != self.enforced {
            self.operation = Some(operation);
        }
        self.enforced = enforced;
    }
}

fn index(verdict: Verdict<'_>) -> Option<usize> {
    match verdict {
        Verdict::Match { index, .. } => Some(index),
        Verdict::NoMatch | Verdict::NeedsArguments => None,
    }
}

fn stronger(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    one.into_iter().chain(other).min()
}

fn action(rules: &RuleSet, index: usize) -> Option<RuleAction> {
    rules.rules.get(index).map(|rule| rule.action)
}

/// The rule that a file on an unknown mount is refused by: the strongest enforced one on opening files.
fn first_file_rule(rules: &RuleSet) -> Option<usize> {
    rules.rules.iter().position(|rule| {
        let blocks = rule.enforced && rule.action != RuleAction::Alert;
        blocks && matches!(&rule.matcher, Matcher::File(matcher) if matcher.operations.iter().any(|operation| matches!(operation, FileOperation::Read | FileOperation::Write)))
    })
}

fn judge_program(container: &Container, subject: &Subject, exec: Exec<'_>) -> Strictest {
    let decide = |path| container.index.decide(&Activity::Exec(Exec { path, ..exec }));
    let mut strictest = Strictest::default();
    for path in subject.paths() {
        strictest.add(&decide(path), FileOperation::Read);
    }
    let is_allow_list = |index: Option<usize>| {
        index.and_then(|index| container.rules.rules.get(index)).is_some_and(EffectiveRule::is_allow_list)
    };
    for alias in aliases(container, subject) {
        let decision = decide(&alias.path);
        let consider = |verdict: &mut Option<usize>, other: Verdict<'_>| {
            let other = index(other);
            if is_allow_list(*verdict) && other.is_none() {
                // The allow-list names this very file by another path.
                *verdict = None;
            } else if alias.same_name && other.is_some() && !is_allow_list(other) {
                *verdict = stronger(*verdict, other);
            }
        };
        consider(&mut strictest.enforced, decision.enforced);
        consider(&mut strictest.audited, decision.audited);
    }
    strictest
}

/// Whether this is a loader of ELF programs (`PT_INTERP`), which the kernel opens beside each program. Executed as a
/// program itself, the other half of the driver judges it.
fn is_loader(path: &[u8]) -> bool {
    let name = base_name(path);
    let in_library = path.starts_with(b"/lib") || path.starts_with(b"/usr/lib");
    let named = [&b"ld-"[..], b"ld.so", b"ld64.so"].iter().any(|prefix| name.starts_with(prefix));
    in_library && named && name.windows(3).any(|part| part == b".so")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaders_are_known_by_their_paths() {
        for path in [
            "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "/lib64/ld-2.31.so",
            "/lib/ld-musl-x86_64.so.1",
            "/usr/lib64/ld64.so.2",
        ] {
            assert!(is_loader(path.as_bytes()), "{path}");
        }
        for path in ["/tmp/ld-linux-x86-64.so.2", "/usr/bin/ld", "/usr/lib/ld-tool", "/lib/systemd/systemd"] {
            assert!(!is_loader(path.as_bytes()), "{path}");
        }
    }
}
