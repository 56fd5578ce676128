//! Events, containers and activities as an enforcer sends them, made what the store takes.

use std::collections::HashMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, Labels, Protocol, Severity, Workload};
use moat_policy::Attempt;
use moat_store::{ActivityKind, Container, NewActivity, NewEvent};
use moat_wire::gateway::{ActivityReport, ContainerReport, MAX_ACTIVITY, Protection};
use uuid::Uuid;

/// Which workload each container of a node belongs to.
#[derive(Debug, Default)]
pub struct Workloads(HashMap<String, String>);

/// Most containers of one node whose workloads are remembered.
const CONTAINERS: usize = 20_000;

impl Workloads {
    /// Takes a report; what is not understood is left out and counted.
    pub fn take(
        &mut self,
        enforcer: &str,
        full: bool,
        upserts: &[Vec<u8>],
        ended: &[String],
    ) -> (Vec<Container>, usize) {
        if full {
            self.0.clear();
        }
        for id in ended {
            self.0.remove(id);
        }
        let mut containers = Vec::with_capacity(upserts.len());
        for json in upserts {
            let Ok(report) = serde_json::from_slice::<ContainerReport>(json) else { continue };
            let Workload { namespace, kind, name, container_id, .. } = &report.workload;
            if self.0.len() < CONTAINERS {
                self.0.insert(container_id.clone(), format!("{namespace}/{kind}/{name}"));
            }
            containers.push(container(enforcer, report));
        }
        let not_understood = upserts.len() - containers.len();
        (containers, not_understood)
    }

    /// Makes events what the store takes. An enforcer speaks for its own node only.
    pub fn events(&self, enforcer: &str, node: &str, events: &[Vec<u8>]) -> Vec<NewEvent> {
        let mut taken = Vec::with_capacity(events.len());
        for json in events {
            let Ok(mut event) = serde_json::from_slice::<Event>(json) else { continue };
            if Uuid::parse_str(&event.id).is_err() {
                continue;
            }
            node.clone_into(&mut event.node);
            let workload = event.container_id.as_ref().and_then(|id| self.0.get(id).cloned());
            taken.push(NewEvent { enforcer_id: enforcer.to_owned(), workload, event });
        }
        let not_understood = events.len() - taken.len();
        if not_understood > 0 {
            let event = complaint(node, not_understood);
            taken.push(NewEvent { enforcer_id: enforcer.to_owned(), workload: None, event });
        }
        taken
    }
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
