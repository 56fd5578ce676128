//! The test button: one event that says what it is, now, past filter and queue.

use std::time::Duration;

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, Labels, Severity};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::destination::{Destination, Secrets};
use super::egress::Egress;
use super::sink::{InvalidDestination, Reply, Sink, Verdict};

/// Somebody waits for it.
pub const TEST_DEADLINE: Duration = Duration::from_secs(10);

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "NotifierTest")]
pub struct TestReport {
    pub delivered: bool,
    /// The receiver's own words, or why there are none.
    pub answer: String,
    pub milliseconds: u64,
    /// To look for at the receiver.
    pub event_id: String,
}

/// Sends the test event once.
pub async fn test(
    name: &str,
    destination: &Destination,
    secrets: &Secrets,
    egress: &Egress,
    deadline: Duration,
) -> Result<TestReport, InvalidDestination> {
    let sink = Sink::new(destination, secrets, egress, deadline)?;
    let event = event(name);
    let event_id = event.id.clone();
    let begun = Instant::now();
    let reply = sink.send(&[event]).await;
    let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (delivered, answer) = match reply {
        Reply::Delivered(answer) => (true, answer),
        Reply::Refused { error, .. } | Reply::Ambiguous(error) | Reply::Later { error, .. } => (false, error),
        Reply::Each(verdicts) => match verdicts.into_iter().next() {
            Some(Verdict::Delivered) => (true, String::new()),
            Some(Verdict::Refused(error) | Verdict::Later(error)) => (false, error),
            None => (false, "it did not answer for the event".into()),
        },
    };
    Ok(TestReport { delivered, answer, milliseconds, event_id })
}

fn event(name: &str) -> Event {
    Event {
        timestamp: Timestamp::now(),
        event_type: EventType::System,
        policy_name: None,
        pod_name: None,
        container_name: None,
        file_path: None,
        action: EventAction::Alerted,
        severity: Severity::Info,
        message: format!("This is a test of the notifier {name}. Nothing happened."),
        id: Uuid::now_v7().to_string(),
        node: String::new(),
        namespace: None,
        workload_kind: None,
        workload_name: None,
        labels: Labels::new(),
        container_id: None,
        image: None,
        image_digest: None,
        rule: None,
        reason: Some("test".into()),
        generation: None,
        process: None,
        file_source: None,
        file_operation: None,
        peer: None,
        syscall: None,
        capability: None,
        count: 1,
        loss: None,
    }
}
