//! Says how the agent is and which containers it has.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;
use moat_wire::gateway::proto::{Containers, Heartbeat, to_console};
use moat_wire::gateway::{CONTENT, ContainerReport, EnforcerStatus};
use tokio::time::{MissedTickBehavior, interval};

use super::Agent;
use super::session::{Sender, SessionError, send as send_message};
use super::shared::Shared;
use crate::containers::Query;

/// How often containers are compared with what the console was told.
const COMPARE: Duration = Duration::from_secs(2);
/// Every how many comparisons the agent says that it is there.
const HEARTBEAT: u32 = 5;

/// Goes on until something fails.
pub async fn send(spool: &Shared, to: &Sender, agent: &Agent) -> SessionError {
    let Err(error) = try_send(spool, to, agent).await;
    error
}

async fn try_send(spool: &Shared, to: &Sender, agent: &Agent) -> Result<Infallible, SessionError> {
    let mut tick = interval(COMPARE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told: Option<BTreeMap<String, ContainerReport>> = None;
    for round in 0_u32.. {
        tick.tick().await;
        if round.is_multiple_of(HEARTBEAT) {
            let status =
                EnforcerStatus { agent: agent.ask(Query::Status).await?, spool: spool.status().await? };
            let status_json = serde_json::to_vec(&status).unwrap_or_default();
            let sent_at_us = Timestamp::now().as_microsecond();
            send_message(to, to_console::Message::Heartbeat(Heartbeat { status_json, sent_at_us })).await?;
        }
        let reports = agent.ask(Query::Reports).await?;
        let now: BTreeMap<_, _> =
            reports.into_iter().map(|report| (report.workload.container_id.clone(), report)).collect();
        for message in changes(told.as_ref(), &now) {
            send_message(to, to_console::Message::Containers(message)).await?;
        }
        told = Some(now);
    }
    Err(SessionError::Ending)
}

/// What to tell: all that there is where nothing was told, else what differs.
fn changes(
    told: Option<&BTreeMap<String, ContainerReport>>,
    now: &BTreeMap<String, ContainerReport>,
) -> Vec<Containers> {
    let is_new = |id: &String, report: &ContainerReport| {
        told.is_none_or(|told| told.get(id).is_none_or(|known| known != report))
    };
    let mut message = Containers { full: told.is_none(), ..Containers::default() };
    let gone = told.into_iter().flat_map(BTreeMap::keys).filter(|id| !now.contains_key(*id));
    message.ended_ids = gone.cloned().collect();
    let (mut messages, mut size) = (Vec::new(), 0);
    for (_, report) in now.iter().filter(|(id, report)| is_new(id, report)) {
        let json = serde_json::to_vec(report).unwrap_or_default();
        size += json.len();
        message.upserts_json.push(json);
        if size >= CONTENT {
            messages.push(std::mem::take(&mut message));
            size = 0;
        }
    }
    if message != Containers::default() {
        messages.push(message);
    }
    messages
}

#[cfg(test)]
mod tests {
    use moat_event::Workload;
    use moat_wire::gateway::Protection;

    use super::*;

    fn containers(of: &[(&str, usize)]) -> BTreeMap<String, ContainerReport> {
        let report = |(id, rules): &(&str, usize)| ContainerReport {
            workload: Workload {
                container_id: (*id).to_owned(),
                image: "x".repeat(1000),
                ..Workload::default()
            },
            policies: Vec::new(),
            rules: *rules,
            problem: String::new(),
            protection: Protection::Unprotected,
        };
        of.iter().map(|container| (container.0.to_owned(), report(container))).collect()
    }

    #[test]
    fn the_console_is_told_everything_once_and_then_what_differs() {
        let first = containers(&[("a", 1), ("b", 1), ("c", 1)]);
        let told = changes(None, &first);
        assert!(matches!(told.as_slice(), [all] if all.full && all.upserts_json.len() == 3));
        assert!(matches!(changes(None, &containers(&[])).as_slice(), [none] if none.full));
        assert_eq!(changes(Some(&first), &first), []);
        let second = containers(&[("a", 1), ("b", 2), ("d", 1)]);
        let told = changes(Some(&first), &second);
        assert!(matches!(told.as_slice(), [changed] if !changed.full
            && changed.upserts_json.len() == 2 && changed.ended_ids == ["c"]));
    }

    #[test]
    fn many_containers_come_in_several_messages_of_which_only_the_first_is_full() {
        let names: Vec<_> = (0..500).map(|n| n.to_string()).collect();
        let all: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let told = changes(None, &containers(&all));
        assert!(told.len() > 2);
        assert_eq!(told.iter().filter(|message| message.full).count(), 1);
        assert!(told.first().is_some_and(|first| first.full));
        assert_eq!(told.iter().map(|message| message.upserts_json.len()).sum::<usize>(), 500);
    }
}
