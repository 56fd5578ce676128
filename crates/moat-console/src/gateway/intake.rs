//! Events, containers, policies and activities as an enforcer sends them, made what the store takes.

use std::net::SocketAddr;

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, Labels, Protocol, Severity};
use moat_policy::Attempt;
use moat_store::{ActivityKind, Container, NewActivity, NewEvent, NodePolicy, PolicyState};
use moat_wire::gateway::proto;
use moat_wire::gateway::proto::policy_state::State;
use moat_wire::gateway::{ActivityReport, ContainerReport, MAX_ACTIVITY, MAX_EVENT, Protection};
use uuid::Uuid;

/// Makes containers what the store takes; how many are not understood and left out comes with them.
pub fn containers(enforcer: &str, reports: &[Vec<u8>]) -> (Vec<Container>, usize) {
    let understood = reports.iter().filter_map(|json| serde_json::from_slice::<ContainerReport>(json).ok());
    let containers: Vec<_> = understood.map(|report| container(enforcer, report)).collect();
    let not_understood = reports.len() - containers.len();
    (containers, not_understood)
}

/// Makes policies of the node's own folder what the store takes.
pub fn node_policies(enforcer: &str, reports: &[proto::NodePolicy]) -> Vec<NodePolicy> {
    let named = reports.iter().filter_map(|report| Some((report, report.key.as_ref()?)));
    let policy = |(report, key): (&proto::NodePolicy, &proto::PolicyKey)| NodePolicy {
        enforcer_id: enforcer.to_owned(),
        kind: key.kind.clone(),
        name: key.name.clone(),
        file: report.file.clone(),
        document: report.document.clone(),
        first_seen: Timestamp::from_microsecond(report.first_seen_us).unwrap_or_else(|_| Timestamp::now()),
        state: state(report.state()),
        reasons: report.reasons.clone(),
        containers: report.containers.into(),
    };
    named.map(policy).collect()
}

pub fn state(state: State) -> PolicyState {
    match state {
        State::Pending => PolicyState::Pending,
        State::Accepted => PolicyState::Accepted,
        State::Enforced => PolicyState::Enforced,
        State::Degraded => PolicyState::Degraded,
        State::Refused => PolicyState::Refused,
    }
}

/// Makes events what the store takes. An enforcer speaks for its own node only.
pub fn events(enforcer: &str, node: &str, events: &[Vec<u8>]) -> Vec<NewEvent> {
    let mut taken = Vec::with_capacity(events.len());
    for json in events.iter().filter(|json| json.len() <= MAX_EVENT) {
        let Ok(mut event) = serde_json::from_slice::<Event>(json) else { continue };
        if Uuid::parse_str(&event.id).is_err() {
            continue;
        }
        node.clone_into(&mut event.node);
        taken.push(NewEvent { enforcer_id: enforcer.to_owned(), workload: workload(&event), event });
    }
    let not_understood = events.len() - taken.len();
    if not_understood > 0 {
        let event = complaint(node, not_understood);
        taken.push(NewEvent { enforcer_id: enforcer.to_owned(), workload: None, event });
    }
    taken
}

/// As the event has it, for it may come before its container is reported, or long after that ended.
fn workload(event: &Event) -> Option<String> {
    let Event { namespace: Some(namespace), workload_kind: Some(kind), workload_name: Some(name), .. } =
        event
    else {
        return None;
    };
    Some(format!("{namespace}/{kind}/{name}"))
}

/// Longest name of a namespace, workload or container: twice what Kubernetes allows, for others know no limit.
const MAX_NAME: usize = 512;

/// Makes activities what the store takes, and says how many it is to be without.
pub fn activities(reports: &[Vec<u8>]) -> (Vec<NewActivity>, usize) {
    let now = Timestamp::now();
    let taken: Vec<_> = reports.iter().filter_map(|json| activity(json, now)).collect();
    let not_understood = reports.len() - taken.len();
    (taken, not_understood)
}

fn activity(json: &[u8], now: Timestamp) -> Option<NewActivity> {
    if json.len() > MAX_ACTIVITY {
        return None;
    }
    let report: ActivityReport = serde_json::from_slice(json).ok()?;
    let ActivityReport { namespace, workload_kind, workload_name, container, attempt, .. } = report;
    let names = [&namespace, &workload_kind, &workload_name, &container];
    if !names.iter().all(|name| name.len() <= MAX_NAME && !name.contains('\0')) {
        return None;
    }
    let (kind, subject) = match &attempt {
        Attempt::Exec { path, .. } => (ActivityKind::Executed, path.clone()),
        Attempt::Connect { protocol, address, port, .. } => {
            let protocol = match protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Raw => "raw",
            };
            (ActivityKind::Connected, format!("{}/{protocol}", SocketAddr::new(*address, *port)))
        }
        Attempt::File { .. } | Attempt::Syscall { .. } | Attempt::Capability { .. } => return None,
    };
    if subject.contains('\0') {
        return None;
    }
    // A node's clock may be ahead; nothing was seen after it was told.
    let last_seen = report.last_seen.min(now);
    Some(NewActivity {
        namespace,
        workload_kind,
        workload_name,
        container,
        kind,
        subject,
        detail: serde_json::to_value(&attempt).ok()?,
        first_seen: report.first_seen.min(last_seen),
        last_seen,
        // So that no sum of them overflows.
        count: report.count.min(u64::from(u32::MAX)).cast_signed(),
    })
}

fn container(enforcer: &str, report: ContainerReport) -> Container {
    Container {
        enforcer_id: enforcer.to_owned(),
        container_id: report.workload.container_id.clone(),
        workload: report.workload,
        policies: report.policies,
        rules: i64::try_from(report.rules).unwrap_or(i64::MAX),
        problem: (!report.problem.is_empty()).then_some(report.problem),
        protection: match report.protection {
            Protection::Unprotected => moat_store::Protection::Unprotected,
            Protection::Audit => moat_store::Protection::Audit,
            Protection::Protected => moat_store::Protection::Protected,
        },
        started_at: None,
        seen_at: Timestamp::now(),
        ended_at: None,
    }
}

/// Nothing is dropped silently.
fn complaint(node: &str, events: usize) -> Event {
    let noun = if events == 1 { "event" } else { "events" };
    Event {
        timestamp: Timestamp::now(),
        event_type: EventType::System,
        policy_name: None,
        pod_name: None,
        container_name: None,
        file_path: None,
        action: EventAction::Alerted,
        severity: Severity::High,
        message: format!(
            "The console did not understand {events} {noun} of this node and does not keep them: use a console at least as new as its enforcers."
        ),
        id: Uuid::now_v7().to_string(),
        node: node.to_owned(),
        namespace: None,
        workload_kind: None,
        workload_name: None,
        labels: Labels::new(),
        container_id: None,
        image: None,
        image_digest: None,
        rule: None,
        reason: None,
        generation: None,
        process: None,
        file_operation: None,
        file_source: None,
        peer: None,
        syscall: None,
        capability: None,
        count: events as u64,
        loss: None,
    }
}
