//! What a rule asks for beyond the kernel's verdict: stopping a pod, cutting a container off.
//!
//! The pipeline sends a [`Request`] for every event of such a rule; this task does each once per pod, with a
//! deadline and retries, and reports the outcome as an event. The verdict in the kernel never waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moat_event::{Event, EventAction, Severity};
use moat_policy::model::RuleAction;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::events::directory::Resident;
use crate::events::{Directory, Journal};
use crate::runtime::{Container, Source};

/// Requests that wait to be looked at.
pub const QUEUE: usize = 256;
/// Pods that are being stopped at the same time.
const AT_ONCE: usize = 16;
const DEADLINE: Duration = Duration::from_secs(15);
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// After a pod was stopped, its last events do not stop it again.
const SETTLING: Duration = Duration::from_secs(10);

/// A rule with such an action matched.
#[derive(Debug)]
pub struct Request {
    pub cgroup: u64,
    /// `KillPod` or `Quarantine`.
    pub action: RuleAction,
    /// What the kernel did, as published.
    pub event: Event,
}

/// The container to cut off, and because of which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    pub cgroup: u64,
    pub policy: String,
    pub rule: String,
    pub severity: Severity,
}

/// What the task works with.
#[derive(Debug)]
pub struct Responder {
    pub directory: Arc<Directory>,
    pub journal: Arc<Journal>,
    /// To the manager, which holds the container's rules.
    pub quarantine: mpsc::Sender<(Quarantine, Event)>,
}

impl Responder {
    /// Runs until `cancel`; stops that are under way then are given up.
    pub async fn run(self, mut requests: mpsc::Receiver<Request>, cancel: CancellationToken) {
        let mut stopping = JoinSet::new();
        // When each pod may be stopped again; `None` while it is being stopped.
        let mut pods = HashMap::<String, Option<Instant>>::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(stopped) = stopping.join_next() => {
                    if let Ok(pod) = stopped {
                        pods.insert(pod, Some(Instant::now() + SETTLING));
                    }
                }
                Some(request) = requests.recv(), if stopping.len() < AT_ONCE => {
                    let Some(Resident { container, source }) = self.directory.resident(request.cgroup) else { continue };
                    if request.action == RuleAction::Quarantine {
                        self.quarantine(request).await;
                        continue;
                    }
                    let now = Instant::now();
                    pods.retain(|_, until| until.is_none_or(|until| until > now));
                    let pod = pod_key(&container);
                    if pods.contains_key(&pod) {
                        continue;
                    }
                    pods.insert(pod.clone(), None);
                    let journal = Arc::clone(&self.journal);
                    stopping.spawn(async move {
                        stop(&*source, &journal, &container, request.event).await;
                        pod
                    });
                }
            }
        }
    }

    async fn quarantine(&self, Request { cgroup, event, .. }: Request) {
        let quarantine = Quarantine {
            cgroup,
            policy: event.policy_name.clone().unwrap_or_default(),
            rule: event.rule.clone().unwrap_or_default(),
            severity: event.severity,
        };
        // An error says that the agent is ending.
        let _ = self.quarantine.send((quarantine, event)).await;
    }
}

/// The same for all containers of a pod.
fn pod_key(container: &Container) -> String {
    container.sandbox_id.clone().unwrap_or_else(|| container.runtime_id.id.clone())
}

async fn stop(source: &dyn Source, journal: &Journal, container: &Container, event: Event) {
    let policy = event.policy_name.clone().unwrap_or_default();
    let mut pause = FIRST_PAUSE;
    let mut tries = 1;
    let failure = loop {
        let failure = match timeout(DEADLINE, source.stop_pod(container)).await {
            Ok(Ok(())) => {
                let message = format!("The pod was stopped because policy {policy} demands it.");
                return journal.publish(follow_up(event, EventAction::PodKilled, message));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("{} did not answer within {} s", source.kind(), DEADLINE.as_secs()),
        };
        tracing::warn!(pod = container.workload.pod, tries, error = failure, "a pod could not be stopped");
        if tries == TRIES {
            break failure;
        }
        tries += 1;
        sleep(pause).await;
        pause *= 2;
    };
    let message = format!("The pod was not stopped although policy {policy} demands it: {failure}.");
    journal.system_about(&container.workload, Severity::Critical, message);
}

/// The event that says what became of the response to `event`.
pub fn follow_up(event: Event, action: EventAction, message: String) -> Event {
    Event { timestamp: Timestamp::now(), id: Uuid::now_v7().to_string(), action, message, count: 1, ..event }
}
