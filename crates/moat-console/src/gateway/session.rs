//! One enforcer's session.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moat_store::{Heartbeat, PolicyStatus, SetProgress, Store, StoreError};
use moat_wire::certificate::Certificate;
use moat_wire::gateway::proto::goodbye::Reason;
use moat_wire::gateway::proto::{
    ActivitiesTaken, EventsStored, Goodbye, Hello, PolicyAck, PolicyKey, ToConsole, ToEnforcer, to_console,
    to_enforcer,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::fleet::Fleet;
use super::intake;

/// Messages that wait for the enforcer to read them.
pub const QUEUE: usize = 8;
/// How long an enforcer may take to begin.
const HELLO: Duration = Duration::from_secs(30);
/// How long it may take to read its goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// How often the certificate's end is looked at: clocks jump.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(5);
/// Between tries to store what the store did not take.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Session {
    pub certificate: Certificate,
    pub node: String,
    pub progress: SetProgress,
    pub store: Store,
    pub fleet: Fleet,
    pub to: mpsc::Sender<Result<ToEnforcer, Status>>,
}

/// How a session came to its end.
#[derive(Debug)]
enum End {
    /// The enforcer is gone.
    Gone,
    Goodbye(Reason, String),
}

impl Session {
    pub async fn run(self, mut incoming: Streaming<ToConsole>, cancel: CancellationToken) {
        let first = timeout(HELLO, incoming.message()).await;
        let Ok(Ok(Some(ToConsole { message: Some(to_console::Message::Hello(hello)) }))) = first else {
            let message = "a session begins with a greeting".to_owned();
            return self.end(End::Goodbye(Reason::Protocol, message)).await;
        };
        let name = self.fleet.name_session();
        if let Err(error) = Box::pin(self.connected(&name, &hello)).await {
            tracing::warn!(node = self.node, %error, "a session cannot begin");
            let _ = self.to.send(Err(super::enrolment::failed(error))).await;
            return;
        }
        let id = self.certificate.name.clone();
        let mut ends = self.fleet.enter(&id, &self.certificate.serial);
        tracing::info!(enforcer = id, node = self.node, "an enforcer is in session");
        let progress = watch::Sender::new(self.progress);
        let end = tokio::select! {
            end = self.receive(incoming, &progress) => end,
            end = self.offer(hello.policy_set, &progress) => end,
            reason = told(&mut ends) => End::Goodbye(reason, explained(reason).to_owned()),
            () = self.expired() => End::Goodbye(Reason::Expired, explained(Reason::Expired).to_owned()),
            () = cancel.cancelled() => End::Goodbye(Reason::Ending, explained(Reason::Ending).to_owned()),
        };
        tracing::info!(enforcer = id, node = self.node, ?end, "an enforcer's session is over");
        if self.fleet.leave(&id, &ends)
            && let Err(error) = Box::pin(self.store.enforcer_disconnected(&id, &name)).await
        {
            tracing::warn!(%error, "that an enforcer is away cannot be stored");
        }
        self.end(end).await;
    }

    async fn connected(&self, name: &str, hello: &Hello) -> Result<(), StoreError> {
        let capabilities = serde_json::from_slice(&hello.capabilities_json).unwrap_or_default();
        let id = &self.certificate.name;
        let Hello { version, kernel, driver, .. } = hello;
        self.store.enforcer_connected(id, name, version, kernel, driver, &capabilities).await
    }

    async fn end(self, end: End) {
        if let End::Goodbye(reason, message) = end {
            let goodbye = Goodbye { reason: reason.into(), message };
            let goodbye = ToEnforcer { message: Some(to_enforcer::Message::Goodbye(goodbye)) };
            let _ = timeout(GOODBYE, self.to.send(Ok(goodbye))).await;
        }
    }

    /// Takes what the enforcer says. The next message is read when the last one is stored.
    async fn receive(
        &self,
        mut incoming: Streaming<ToConsole>,
        progress: &watch::Sender<SetProgress>,
    ) -> End {
        let id = &self.certificate.name;
        loop {
            let message = match incoming.message().await {
                Ok(Some(message)) => message.message,
                Err(status) if status.code() == tonic::Code::OutOfRange => {
                    return End::Goodbye(Reason::Protocol, String::from("a message is too large"));
                }
                Ok(None) | Err(_) => return End::Gone,
            };
            match message {
                Some(to_console::Message::Events(events)) => {
                    let new: Arc<[_]> = intake::events(id, &self.node, &events.json).into();
                    self.until_stored(|| self.store.insert_events(Arc::clone(&new))).await;
                    let stored = EventsStored { sequence: events.sequence };
                    if self.send(to_enforcer::Message::EventsStored(stored)).await.is_err() {
                        return End::Gone;
                    }
                }
                Some(to_console::Message::Heartbeat(beat)) => {
                    let late = Timestamp::now().as_microsecond().saturating_sub(beat.sent_at_us) / 1000;
                    self.fleet.heard(Heartbeat {
                        enforcer_id: id.clone(),
                        status: serde_json::from_slice(&beat.status_json).ok(),
                        progress: None,
                        lag_ms: Some(late.max(0)),
                    });
                }
                Some(to_console::Message::PolicyAck(acknowledgement)) => {
                    self.acknowledged(acknowledgement, progress);
                }
                Some(to_console::Message::Containers(report)) => {
                    let (containers, not_understood) = intake::containers(id, &report.upserts_json);
                    if not_understood > 0 {
                        tracing::warn!(
                            node = self.node,
                            not_understood,
                            "containers' reports are not understood"
                        );
                    }
                    let put = || self.store.put_containers(id, report.full, &containers, &report.ended_ids);
                    self.until_stored(put).await;
                }
                Some(to_console::Message::Activities(activities)) => {
                    let stored = self.put_activities(&activities.json).await;
                    let taken = ActivitiesTaken { sequence: activities.sequence, stored };
                    if self.send(to_enforcer::Message::ActivitiesTaken(taken)).await.is_err() {
                        return End::Gone;
                    }
                }
                Some(to_console::Message::NodePolicies(report)) => {
                    let policies = intake::node_policies(id, &report.upserts);
                    let removed: Vec<_> =
                        report.removed.into_iter().map(|PolicyKey { kind, name }| (kind, name)).collect();
                    let put = || self.store.put_node_policies(id, report.full, &policies, &removed);
                    self.until_stored(put).await;
                }
                Some(to_console::Message::Hello(_)) => {
                    return End::Goodbye(Reason::Protocol, String::from("a session is greeted once"));
                }
                // Of a newer enforcer.
                None => {}
            }
        }
    }

    /// Whether they are stored. They are not worth that events wait for them: the enforcer keeps what is not.
    async fn put_activities(&self, reports: &[Vec<u8>]) -> bool {
        let (activities, not_understood) = intake::activities(reports);
        if not_understood > 0 {
            tracing::warn!(node = self.node, not_understood, "activities of containers are not understood");
        }
        match Box::pin(self.store.put_activities(&activities)).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(node = self.node, %error, "what containers did cannot be stored");
                false
            }
        }
    }

    /// Tries until the store takes it: nothing is acknowledged before, and nothing more is read.
    async fn until_stored<T, F: Future<Output = Result<T, StoreError>>>(&self, store: impl Fn() -> F) {
        let mut said = false;
        // Apart from the session, which would be as large as the largest of them for as long as it lasts.
        while let Err(error) = Box::pin(store()).await {
            if !said {
                tracing::warn!(node = self.node, %error, "what an enforcer sends cannot be stored, trying again");
                said = true;
            }
            sleep(AGAIN).await;
        }
    }

    fn acknowledged(&self, acknowledgement: PolicyAck, progress: &watch::Sender<SetProgress>) {
        let id = &self.certificate.name;
        progress.send_modify(|progress| {
            progress.accepted_set = acknowledgement.set;
            if acknowledgement.in_force {
                progress.enforced_set = acknowledgement.set;
            }
        });
        self.heard(*progress.borrow());
        let statuses = acknowledgement.policies.into_iter().map(|policy| PolicyStatus {
            enforcer_id: id.clone(),
            state: intake::state(policy.state()),
            policy: policy.name,
            revision: policy.revision,
            reasons: policy.reasons,
            containers: i64::from(policy.containers),
        });
        self.fleet.acknowledged(id, statuses.collect());
    }

    fn heard(&self, progress: SetProgress) {
        let enforcer_id = self.certificate.name.clone();
        self.fleet.heard(Heartbeat { enforcer_id, progress: Some(progress), ..Heartbeat::default() });
    }

    /// Offers each new policy set; `held` is the one that the enforcer has.
    async fn offer(&self, mut held: i64, progress: &watch::Sender<SetProgress>) -> End {
        let mut newest = self.fleet.policy_set();
        // An enforcer may come with more than there is: the store may be an older one, restored.
        let mut begun = false;
        loop {
            let known = *newest.borrow_and_update();
            if known > held || (!begun && known != held) {
                match Box::pin(self.fleet.policy_changes(held)).await {
                    Ok(messages) => {
                        for part in &messages.parts {
                            if self.send(to_enforcer::Message::PolicySet(part.clone())).await.is_err() {
                                return End::Gone;
                            }
                        }
                        (held, begun) = (messages.set, true);
                        progress.send_modify(|progress| progress.offered_set = held);
                        self.heard(*progress.borrow());
                        continue;
                    }
                    Err(error) => {
                        tracing::warn!(node = self.node, %error, "the policies cannot be read, trying again");
                        sleep(AGAIN).await;
                        continue;
                    }
                }
            }
            if newest.changed().await.is_err() {
                return End::Gone;
            }
        }
    }

    async fn send(&self, message: to_enforcer::Message) -> Result<(), ()> {
        self.to.send(Ok(ToEnforcer { message: Some(message) })).await.map_err(|_| ())
    }

    async fn expired(&self) {
        loop {
            let left = Timestamp::now().duration_until(self.certificate.not_after);
            let Ok(left) = Duration::try_from(left) else { return };
            if left.is_zero() {
                return;
            }
            sleep(left.min(LOOK_AT_CLOCK)).await;
        }
    }
}

async fn told(ends: &mut watch::Receiver<Option<Reason>>) -> Reason {
    match ends.wait_for(Option::is_some).await {
        Ok(reason) => reason.unwrap_or(Reason::Ending),
        // Another session has taken the place.
        Err(_) => Reason::Superseded,
    }
}

fn explained(reason: Reason) -> &'static str {
    match reason {
        Reason::Ending => "the console is ending",
        Reason::Superseded => "a newer session of the same enforcer has begun",
        Reason::Revoked => "the certificate is revoked",
        Reason::Expired => "the certificate has expired",
        Reason::Protocol => "the protocol was not kept to",
    }
}
