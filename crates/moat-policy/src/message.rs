//! The sentence of an event.

use std::net::SocketAddr;

use moat_event::{Direction, FileOperation, Protocol};

use crate::activity::{Activity, Connect, FileSource};
use crate::applet;
use crate::escape::escape;
use crate::model::RuleAction;
use crate::rule_set::{EffectiveRule, Matcher};

/// What happened, for people: `File access to /etc/passwd by nginx container is prohibited by policy.`
///
/// `container` is its name. A rule in audit mode says what would be, and an alert that it was only reported.
pub fn message(rule: &EffectiveRule, activity: &Activity<'_>, container: &str) -> String {
    let container = escape(container.as_bytes());
    let act = match activity {
        Activity::Exec(exec) => {
            let path = escape(exec.path);
            let applet = exec.arguments.and_then(|argv| applet(exec.path, argv));
            match (&rule.matcher, exec.source, applet) {
                (Matcher::Drift(_), FileSource::Fileless, _) => format!("Execution of fileless code {path}"),
                (Matcher::Drift(_), ..) => format!("Execution of {path}, which is not part of the image,"),
                (_, _, Some(applet)) => format!("Execution of {path} as {}", escape(applet)),
                _ => format!("Execution of {path}"),
            }
        }
        Activity::File(access) => format!("{} {}", file_act(access.operation), escape(access.path)),
        Activity::Connect(connect) => connection(connect),
        Activity::Syscall(name) => format!("System call {}", escape(name.as_bytes())),
        Activity::Capability(name) => format!("Use of capability {}", escape(name.as_bytes())),
    };
    let verdict = match (rule.action, rule.enforced) {
        (RuleAction::Alert, true) => "is reported by policy",
        (RuleAction::Alert, false) => "would be reported by policy",
        (_, true) => "is prohibited by policy",
        (_, false) => "would be prohibited by policy",
    };
    format!("{act} by {container} container {verdict}.")
}

fn file_act(operation: FileOperation) -> &'static str {
    match operation {
        FileOperation::Read => "File access to",
        FileOperation::Write => "File write to",
        FileOperation::Create => "Creation of",
        FileOperation::Delete => "Deletion of",
        FileOperation::Rename => "Renaming of",
        FileOperation::Chmod => "Change of mode of",
        FileOperation::Chown => "Change of owner of",
        FileOperation::Link => "Hard link to",
        FileOperation::Truncate => "Truncation of",
        FileOperation::SetXattr => "Change of extended attributes of",
    }
}

fn connection(connect: &Connect) -> String {
    let Connect { protocol, port, .. } = connect;
    let peer = connect.peer.to_canonical();
    let (endpoint, protocol) = (SocketAddr::new(peer, *port), protocol.name());
    match connect.direction {
        _ if connect.protocol == Protocol::Raw => "Opening of a raw socket".to_owned(),
        Direction::Egress => format!("{protocol} connection to {endpoint}"),
        Direction::Ingress => format!("Acceptance of {protocol} from {peer} on port {port}"),
        Direction::Listen => format!("Listening for {protocol} on {endpoint}"),
    }
}

#[cfg(test)]
mod tests;
