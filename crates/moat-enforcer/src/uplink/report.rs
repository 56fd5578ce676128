//! Says how the agent is and which containers it has.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;
use moat_wire::gateway::proto::{Containers, Heartbeat, to_console};
use moat_wire::gateway::{ContainerReport, EnforcerStatus};
use tokio::time::{MissedTickBehavior, interval};

use super::Agent;
use super::changes::{Part, changes};
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
        let encode = |report: &ContainerReport| {
            let json = serde_json::to_vec(report).unwrap_or_default();
            let size = json.len();
            (json, size)
        };
        for Part { full, upserts, gone } in changes(told.as_ref(), &now, encode) {
            let message = Containers { full, upserts_json: upserts, ended_ids: gone };
            send_message(to, to_console::Message::Containers(message)).await?;
        }
        told = Some(now);
    }
    Err(SessionError::Ending)
}
