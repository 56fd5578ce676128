//! An event on one line, for people.

use std::fmt::Write;

use jiff::tz::TimeZone;
use moat_event::{Direction, Event, EventAction, EventType, Protocol, printable};

use super::style::{self, paint};

/// Characters of a command line that are shown; the JSON has all.
const MAX_WHAT: usize = 160;

/// Time, severity, action, workload, what happened, and the rule that says so.
pub fn event_line(event: &Event, zone: &TimeZone) -> String {
    let time = event.timestamp.to_zoned(zone.clone()).strftime("%m-%d %H:%M:%S");
    let severity = format!("{:<8}", event.severity.name());
    let action = format!("{:<9}", action_name(event.action));
    let mut line = format!(
        "{}  {}  {}  {}",
        paint(style::QUIET, time),
        paint(style::severity(event.severity), severity),
        paint(action_style(event.action), action),
        what(event),
    );
    let place = workload(event);
    if !place.is_empty() {
        let _ = write!(line, "  {} {}", paint(style::QUIET, "in"), printable(&place));
    }
    if let Some(policy) = &event.policy_name {
        let rule = match &event.rule {
            Some(rule) => format!("{policy}/{rule}"),
            None => policy.clone(),
        };
        let _ = write!(line, "  {} {}", paint(style::QUIET, "by"), paint(style::NAME, printable(&rule)));
    }
    if event.count > 1 {
        let _ = write!(line, "  {}", paint(style::QUIET, format!("× {}", event.count)));
    }
    line
}

pub fn action_name(action: EventAction) -> &'static str {
    match action {
        EventAction::Alerted => "alerted",
        EventAction::Blocked => "blocked",
        EventAction::Killed => "killed",
        EventAction::PodKilled => "pod ended",
        EventAction::Quarantined => "isolated",
        EventAction::WouldAlert => "(alert)",
        EventAction::WouldBlock => "(block)",
        EventAction::WouldKill => "(kill)",
        EventAction::WouldKillPod => "(end pod)",
        EventAction::WouldQuarantine => "(isolate)",
    }
}

fn action_style(action: EventAction) -> anstyle::Style {
    match action {
        EventAction::Alerted => style::WARNING,
        EventAction::Blocked | EventAction::Killed => style::GOOD,
        EventAction::PodKilled | EventAction::Quarantined => style::BAD,
        EventAction::WouldAlert
        | EventAction::WouldBlock
        | EventAction::WouldKill
        | EventAction::WouldKillPod
        | EventAction::WouldQuarantine => style::QUIET,
    }
}

/// `namespace/pod/container`; one name where pod and container share it.
fn workload(event: &Event) -> String {
    let mut names: Vec<&str> = [&event.namespace, &event.pod_name, &event.container_name]
        .into_iter()
        .filter_map(|name| name.as_deref())
        .collect();
    names.dedup();
    names.join("/")
}

/// What was attempted, escaped.
fn what(event: &Event) -> String {
    let process = event.process.as_ref();
    let executable = process.map_or("", |process| process.executable.as_str());
    let actor = if executable.is_empty() { String::new() } else { format!(" by {executable}") };
    let text = match event.event_type {
        EventType::ProcessExec | EventType::Drift => match process {
            Some(process) if process.arguments.len() > 1 => {
                let arguments = process.arguments.get(1..).unwrap_or_default().join(" ");
                format!("exec {executable} {arguments}")
            }
            Some(_) => format!("exec {executable}"),
            None => event.message.clone(),
        },
        EventType::FileAccess | EventType::FileIntegrity => match (&event.file_path, event.file_operation) {
            (Some(path), Some(operation)) => format!("{} {path}{actor}", operation.name().to_lowercase()),
            (Some(path), None) => format!("access {path}{actor}"),
            (None, _) => event.message.clone(),
        },
        EventType::NetworkConnection => match &event.peer {
            Some(peer) => {
                let direction = match peer.direction {
                    Direction::Egress => "connect",
                    Direction::Ingress => "accept",
                    Direction::Listen => "listen",
                };
                let address = std::net::SocketAddr::new(peer.address, peer.port);
                match peer.protocol {
                    Protocol::Tcp => format!("{direction} tcp://{address}{actor}"),
                    Protocol::Udp => format!("{direction} udp://{address}{actor}"),
                    Protocol::Raw => format!("raw socket{actor}"),
                }
            }
            None => event.message.clone(),
        },
        EventType::Syscall | EventType::PrivilegedOperation => match (&event.syscall, &event.capability) {
            (Some(syscall), _) => format!("{syscall}(){actor}"),
            (None, Some(capability)) => format!("capability {capability}{actor}"),
            (None, None) => event.message.clone(),
        },
        EventType::AnomalousBehavior
        | EventType::Admission
        | EventType::ImageScan
        | EventType::Compliance
        | EventType::Audit
        | EventType::System => return printable(&event.message).into_owned(),
    };
    shortened(&text)
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_WHAT) {
        Some((end, _)) => format!("{}…", printable(text.get(..end).unwrap_or_default())),
        None => printable(text).into_owned(),
    }
}
