//! Makes events of records: who, by which policy and rule, and why, in words.

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, FileSource, Origin, Peer, Process, Severity};
use moat_kernel::{Act, Outcome, Record};
use moat_policy::activity::{Actor, Connect, Exec, FileAccess};
use moat_policy::model::RuleAction;
use moat_policy::rule_set::Matcher;
use moat_policy::{Activity, EffectiveRule, RuleSet, arguments};

use super::aggregate::{Group, Likeness};
use super::reason::{Place, Reasons};
use super::system;
use crate::runtime::Container;

/// What is known about a record's container at this moment.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub node: &'a str,
    pub container: Option<&'a Container>,
    /// The rule set that the record's indices refer to.
    pub rules: Option<&'a RuleSet>,
    pub now: Timestamp,
}

/// An event, and what else its rule asks for once the kernel has done its part.
#[derive(Debug, Clone, PartialEq)]
pub struct Enriched {
    pub event: Event,
    /// `KillPod` or `Quarantine`.
    pub response: Option<RuleAction>,
}

/// The event of the enforced rule and that of the audited one, where there is one.
pub fn enrich(group: &Group, context: &Context<'_>, reasons: &mut Reasons) -> Vec<Enriched> {
    let record = &*group.record;
    let rule = |index: usize| context.rules.and_then(|rules| rules.rules.get(index));
    let mut enriched = Vec::with_capacity(1);
    if let Some(index) = record.enforced {
        let response = rule(index)
            .map(|rule| rule.action)
            .filter(|action| matches!(action, RuleAction::KillPod | RuleAction::Quarantine));
        let event = event(group, context, index, enforced_action(record.outcome), reasons);
        enriched.push(Enriched { event, response });
    }
    if let Act::Tampering { what } = record.act {
        enriched.push(Enriched { event: tampering(group, context, what), response: None });
    }
    if let Some(index) = record.audited {
        let action = rule(index).map_or(EventAction::WouldAlert, |rule| audited_action(rule.action));
        let event = event(group, context, index, action, reasons);
        enriched.push(Enriched { event, response: None });
    }
    enriched
}

/// What is known whatever decided.
fn plain(group: &Group, context: &Context<'_>, action: EventAction, severity: Severity) -> Event {
    let record = &*group.record;
    let mut event = system::event(context.node, severity, String::new());
    event.timestamp = context.now;
    event.event_type = event_type(&record.act, None);
    event.action = action;
    event.generation = Some(record.generation);
    event.count = group.count;
    match context.container {
        Some(container) => system::about(event, &container.workload),
        None => event,
    }
}

/// An act on Moat itself, which no rule has to forbid.
fn tampering(group: &Group, context: &Context<'_>, what: &str) -> Event {
    let action = enforced_action(group.record.outcome);
    let mut event = plain(group, context, action, Severity::Critical);
    let what = match group.likeness {
        Likeness::Identical => what,
        Likeness::SameRule => "act on Moat, in too many ways to be told apart",
    };
    if group.likeness == Likeness::Identical {
        details(&mut event, &group.record);
    }
    let end = if action == EventAction::Killed { "the process was killed" } else { "it was refused" };
    event.message = match context.container {
        Some(container) => {
            format!("Container {} tried to {what}; {end}.", container.workload.container.escape_debug())
        }
        None => format!("A container tried to {what}; {end}."),
    };
    event.reason = Some(String::from("whatever the rules say, no container may act on Moat"));
    event
}

/// The event of the rule at `index`.
fn event(
    group: &Group,
    context: &Context<'_>,
    index: usize,
    action: EventAction,
    reasons: &mut Reasons,
) -> Event {
    let record = &*group.record;
    let mut event = plain(group, context, action, Severity::Medium);
    let in_set = context.rules.and_then(|rules| Some((rules, rules.rules.get(index)?)));
    let Some((rules, rule)) = in_set else {
        details(&mut event, record);
        event.message = format!(
            "A rule of generation {} decided; that rule set is no longer kept, so its name is not known.",
            record.generation
        );
        return event;
    };
    event.event_type = event_type(&record.act, Some(rule));
    event.policy_name = Some(rule.policy.to_string());
    event.rule = Some(rule.rule.to_string());
    event.severity = rule.severity;
    let parent = [record.process.parent_executable.as_slice()];
    let activity = activity(record, &parent);
    let Some(activity) = activity.filter(|_| group.likeness == Likeness::Identical) else {
        event.message = format!(
            "{} more acts matched rule {} of policy {}, too many different ones in a second to be told apart.",
            group.count, rule.rule, rule.policy
        );
        return event;
    };
    details(&mut event, record);
    let name = context.container.map_or("", |container| container.workload.container.as_str());
    event.message = moat_policy::message(rule, &activity, name);
    let init_pid = context.container.map(|container| container.init_pid);
    let place = Place { cgroup: record.cgroup, rules, index, init_pid };
    let shortfall = match record.outcome {
        Outcome::KilledAfter => Some("the act took effect before the process was killed"),
        Outcome::Allowed if rule.enforced && rule.action > RuleAction::Alert => {
            Some("it went ahead, for here it can only be detected")
        }
        Outcome::Allowed | Outcome::Denied | Outcome::Killed => None,
    };
    let clauses: Vec<_> =
        reasons.reason(place, &activity).into_iter().chain(shortfall.map(str::to_owned)).collect();
    event.reason = (!clauses.is_empty()).then(|| clauses.join("; "));
    event
}

fn enforced_action(outcome: Outcome) -> EventAction {
    match outcome {
        Outcome::Allowed => EventAction::Alerted,
        Outcome::Denied => EventAction::Blocked,
        Outcome::Killed | Outcome::KilledAfter => EventAction::Killed,
    }
}

fn audited_action(action: RuleAction) -> EventAction {
    match action {
        RuleAction::Alert => EventAction::WouldAlert,
        RuleAction::Block => EventAction::WouldBlock,
        RuleAction::KillProcess => EventAction::WouldKill,
        RuleAction::KillPod => EventAction::WouldKillPod,
        RuleAction::Quarantine => EventAction::WouldQuarantine,
    }
}

fn event_type(act: &Act, rule: Option<&EffectiveRule>) -> EventType {
    match (rule.map(|rule| &rule.matcher), act) {
        (Some(Matcher::Drift(_)), _) => EventType::Drift,
        (Some(Matcher::Process(_)), _) | (None, Act::Exec { .. }) => EventType::ProcessExec,
        (Some(Matcher::File(_)), _) | (None, Act::File { .. }) => EventType::FileAccess,
        (Some(Matcher::Network(_)), _) | (None, Act::Connect { .. }) => EventType::NetworkConnection,
        (Some(Matcher::Syscalls(_)), _) | (None, Act::Syscall { .. }) => EventType::Syscall,
        (Some(Matcher::Capabilities(_)), _) | (None, Act::Capability { .. } | Act::Tampering { .. }) => {
            EventType::PrivilegedOperation
        }
        (None, Act::Repeated) => EventType::System,
    }
}

/// What only identical records share.
fn details(event: &mut Event, record: &Record) {
    match &record.act {
        Act::Exec { path, source } => {
            event.file_path = Some(text(path));
            event.file_source = Some(*source).filter(|source| *source != FileSource::Image);
        }
        Act::File { path, operation } => {
            event.file_path = Some(text(path));
            event.file_operation = Some(*operation);
        }
        Act::Connect { direction, protocol, peer, port } => {
            event.peer = Some(Peer {
                direction: *direction,
                protocol: *protocol,
                address: peer.to_canonical(),
                port: *port,
            });
        }
        Act::Syscall { name } => event.syscall = Some((*name).to_owned()),
        Act::Capability { name } => event.capability = Some((*name).to_owned()),
        Act::Tampering { .. } => {}
        Act::Repeated => return,
    }
    let process = &record.process;
    event.process = Some(Process {
        pid: process.pid,
        executable: text(&process.executable),
        arguments: arguments(&process.arguments).map(text).collect(),
        arguments_truncated: process.arguments_truncated,
        cwd: text(&process.cwd),
        parent: text(&process.parent_executable),
        parent_pid: process.parent_pid,
        uid: process.uid,
        origin: process.origin,
    });
}

/// The record's act as the evaluator sees it; `None` where it is not known in detail.
fn activity<'a>(record: &'a Record, parent: &'a [&'a [u8]]) -> Option<Activity<'a>> {
    let process = &record.process;
    let arguments = process.arguments.as_slice();
    Some(match &record.act {
        Act::Exec { path, source } => Activity::Exec(Exec {
            path,
            arguments: (!arguments.is_empty()).then_some(arguments),
            ancestors: if process.parent_executable.is_empty() { &[] } else { parent },
            uid: process.uid,
            origin: process.origin.unwrap_or(Origin::Entrypoint),
            source: *source,
        }),
        Act::File { path, operation } => Activity::File(FileAccess {
            path,
            operation: *operation,
            actor: Actor { executable: &process.executable, uid: process.uid },
        }),
        Act::Connect { direction, protocol, peer, port } => Activity::Connect(Connect {
            direction: *direction,
            protocol: *protocol,
            peer: peer.to_canonical(),
            port: *port,
        }),
        Act::Syscall { name } => Activity::Syscall(name),
        Act::Capability { name } => Activity::Capability(name),
        Act::Tampering { .. } | Act::Repeated => return None,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
