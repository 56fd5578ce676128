//! An enforcer as a console's gateway meets it, in the hands of a test.

use std::time::Duration;

use jiff::Timestamp;
use moat_event::Event;
use moat_wire::gateway::proto::enrolment_client::EnrolmentClient;
use moat_wire::gateway::proto::gateway_client::GatewayClient;
use moat_wire::gateway::proto::policy_state::State;
use moat_wire::gateway::proto::{
    EnrolRequest, Events, Hello, PolicyAck, PolicySet, PolicyState, ToConsole, ToEnforcer, goodbye,
    to_console, to_enforcer,
};
use moat_wire::gateway::{Identity, NewKey, Trust, connect};
use moat_wire::token::EnrolmentToken;
use rustls_pki_types::CertificateDer;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};
use uuid::Uuid;

/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A node that has enrolled.
#[derive(Debug, Clone)]
pub struct Enforcer {
    pub identity: Identity,
    authority: CertificateDer<'static>,
}

impl Enforcer {
    /// Enrols at the gateway whose address is `url`.
    pub async fn enrol(
        url: &str,
        token: &EnrolmentToken,
        node: &str,
        machine: &str,
    ) -> Result<Enforcer, Status> {
        let key = NewKey::generate().map_err(failed)?;
        let request = EnrolRequest {
            token: token.reveal(),
            node: node.to_owned(),
            machine: machine.to_owned(),
            csr_der: key.request().map_err(failed)?,
            version: String::from("0"),
        };
        let channel = connect(url, &Trust::Pinned(token.authority)).await.map_err(failed)?;
        let response = EnrolmentClient::new(channel).enrol(request).await?.into_inner();
        let identity = key.certified(&response.certificate_chain_der).map_err(failed)?;
        Ok(Enforcer { identity, authority: response.authority_der.into() })
    }

    /// One whose certificate comes from somewhere else than an enrolment.
    pub fn with(identity: Identity, authority: CertificateDer<'static>) -> Enforcer {
        Enforcer { identity, authority }
    }

    pub fn id(&self) -> &str {
        &self.identity.certificate.name
    }

    /// The console's authority, as the enrolment told it.
    pub fn authority(&self) -> &CertificateDer<'static> {
        &self.authority
    }

    pub async fn client(&self, url: &str) -> Result<GatewayClient<Channel>, Status> {
        let trust = Trust::Authority { authority: &self.authority, identity: &self.identity };
        let channel = connect(url, &trust).await.map_err(failed)?;
        // A test may send more than a gateway takes.
        Ok(GatewayClient::new(channel).max_encoding_message_size(64 * 1024 * 1024))
    }

    /// Begins a session, as an enforcer that holds no policies.
    pub async fn session(&self, url: &str) -> Result<Conversation, Status> {
        let hello = Hello { version: String::from("0"), driver: String::from("guard"), ..Hello::default() };
        self.converse(url, to_console::Message::Hello(hello)).await
    }

    /// Begins a session with these words.
    pub async fn converse(&self, url: &str, first: to_console::Message) -> Result<Conversation, Status> {
        let (to, outgoing) = mpsc::channel(64);
        to.send(ToConsole { message: Some(first) }).await.map_err(failed)?;
        let from = self.client(url).await?.session(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Conversation { to, from })
    }
}

fn failed(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}

/// A session from the enforcer's side. What must not happen in one ends the test.
#[derive(Debug)]
pub struct Conversation {
    to: mpsc::Sender<ToConsole>,
    from: Streaming<ToEnforcer>,
}

impl Conversation {
    pub async fn say(&self, message: to_console::Message) {
        self.to.send(ToConsole { message: Some(message) }).await.expect("the console listens");
    }

    pub async fn send_events(&self, sequence: u64, events: &[Event]) {
        let json = events.iter().map(|event| serde_json::to_vec(event).expect("an event is JSON")).collect();
        self.say(to_console::Message::Events(Events { sequence, json })).await;
    }

    /// `None` once the session is over.
    pub async fn hear(&mut self) -> Option<to_enforcer::Message> {
        let message = timeout(PATIENCE, self.from.message()).await.expect("the console says nothing");
        message.ok().flatten().and_then(|message| message.message)
    }

    /// Up to which number events are stored, once the console says so.
    pub async fn stored(&mut self) -> u64 {
        self.stored_or_over().await.expect("the session goes on")
    }

    /// The same; `None` once the session is over.
    pub async fn stored_or_over(&mut self) -> Option<u64> {
        match self.hear().await? {
            to_enforcer::Message::EventsStored(stored) => Some(stored.sequence),
            other => panic!("expected events to be stored, heard {other:?}"),
        }
    }

    /// The next policies that the console offers.
    pub async fn policy_set(&mut self) -> PolicySet {
        match self.hear().await {
            Some(to_enforcer::Message::PolicySet(set)) => set,
            other => panic!("expected policies, heard {other:?}"),
        }
    }

    /// Says that every policy of the set is in force.
    pub async fn enforced(&self, set: &PolicySet) {
        let policies = set.upserts.iter().map(|policy| PolicyState {
            name: policy.name.clone(),
            revision: policy.revision,
            state: State::Enforced.into(),
            reasons: Vec::new(),
            containers: 1,
        });
        let policies = policies.collect();
        self.say(to_console::Message::PolicyAck(PolicyAck { set: set.set, in_force: true, policies })).await;
    }

    pub async fn goodbye(&mut self) -> goodbye::Reason {
        loop {
            match self.hear().await {
                Some(to_enforcer::Message::Goodbye(goodbye)) => return goodbye.reason(),
                Some(_) => {}
                None => panic!("the session ended without a goodbye"),
            }
        }
    }
}

/// An event of now, with an id of its own.
pub fn event(message: &str) -> Event {
    serde_json::from_value(serde_json::json!({
        "timestamp": Timestamp::now(),
        "eventType": "FileAccess",
        "action": "Blocked",
        "severity": "High",
        "message": message,
        "id": Uuid::now_v7().to_string(),
        "node": "somebody else's",
        "filePath": "/etc/passwd",
    }))
    .expect("an event has these fields")
}
