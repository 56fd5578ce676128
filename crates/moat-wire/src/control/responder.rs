//! What a handler answers with: a bounded queue to one client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, Labels, Loss, LossStage, Severity};
use tokio::sync::mpsc::{self, error::TrySendError};
use uuid::Uuid;

use super::{MAX_LINE, Response};

/// Lines that may wait for one client.
pub const QUEUE: usize = 1024;

/// The client is gone: nothing more can be sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client is gone")]
pub struct ClientGone;

/// Answers one request.
#[derive(Debug, Clone)]
pub struct Responder {
    queue: mpsc::Sender<Vec<u8>>,
    lost: Arc<AtomicU64>,
    answered: Arc<AtomicBool>,
}

impl Responder {
    pub(super) fn new(queue: mpsc::Sender<Vec<u8>>, lost: Arc<AtomicU64>) -> Responder {
        Responder { queue, lost, answered: Arc::new(AtomicBool::new(false)) }
    }

    /// Queues an answer; waits while the client is behind.
    pub async fn send(&self, response: Response) -> Result<(), ClientGone> {
        self.answered.store(true, Ordering::Relaxed);
        self.queue.send(encode(&response)).await.map_err(|_| ClientGone)
    }

    /// Queues an event without waiting. One that a slow client has no room for is lost to it; it is told how
    /// many in an event of type `System`.
    pub fn offer(&self, event: Event) -> Result<(), ClientGone> {
        self.answered.store(true, Ordering::Relaxed);
        let count = event.count;
        match self.queue.try_send(encode(&Response::Event(Box::new(event)))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.lost(count);
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(ClientGone),
        }
    }

    /// The handler itself lost `events` that were meant for this client; it is told so.
    pub fn lost(&self, events: u64) {
        self.lost.fetch_add(events, Ordering::Relaxed);
    }

    pub(super) fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }
}

/// One line, with its line feed.
pub(super) fn encode(response: &Response) -> Vec<u8> {
    let line = match serde_json::to_vec(response) {
        Ok(line) if line.len() <= MAX_LINE => Ok(line),
        Ok(line) => Err(format!("the answer is {} bytes long, at most {MAX_LINE} can be sent", line.len())),
        Err(error) => Err(format!("the answer cannot be written as JSON: {error}")),
    };
    let mut line =
        line.unwrap_or_else(|message| serde_json::to_vec(&Response::Error { message }).unwrap_or_default());
    line.push(b'\n');
    line
}

/// Tells a client that it was too slow.
pub(super) fn loss(events: u64) -> Response {
    let noun = if events == 1 { "event was" } else { "events were" };
    Response::Event(Box::new(Event {
        timestamp: Timestamp::now(),
        event_type: EventType::System,
        policy_name: None,
        pod_name: None,
        container_name: None,
        file_path: None,
        action: EventAction::Alerted,
        severity: Severity::High,
        message: format!("{events} {noun} lost on the way to this reader, which was too slow."),
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
        reason: None,
        generation: None,
        process: None,
        file_operation: None,
        file_source: None,
        peer: None,
        syscall: None,
        capability: None,
        count: 1,
        loss: Some(Loss { stage: LossStage::Subscriber, events }),
    }))
}
