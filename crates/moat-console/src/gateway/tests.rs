//! Over real connections, against a real store.

mod access;
mod sessions;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moat_event::Event;
use moat_store::{Actor, NewEnrolmentToken, NewPolicy, StoredEvent};
use moat_wire::gateway::proto::enrolment_client::EnrolmentClient;
use moat_wire::gateway::proto::gateway_client::GatewayClient;
use moat_wire::gateway::proto::{
    EnrolRequest, Events, Goodbye, Hello, ToConsole, ToEnforcer, goodbye, to_console, to_enforcer,
};
use moat_wire::gateway::{Identity, NewKey, Trust, connect};
use moat_wire::token::{EnrolmentToken, Secret};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::{Status, Streaming};
use uuid::Uuid;

use super::*;

/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A gateway on a store of its own.
struct Running {
    store: Store,
    authority: Arc<Authority>,
    url: String,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
    folder: tempfile::TempDir,
}

impl Running {
    async fn start() -> Running {
        let folder = tempfile::tempdir().unwrap();
        let authority = Arc::new(Authority::create(Timestamp::now()).unwrap());
        Running::on(folder, authority, "127.0.0.1:0".parse().unwrap()).await
    }

    async fn on(folder: tempfile::TempDir, authority: Arc<Authority>, address: SocketAddr) -> Running {
        let url = format!("sqlite:{}", folder.path().join("moat.db").display());
        let store = Store::open(&url).await.unwrap();
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let address =
            start(store.clone(), Arc::clone(&authority), address, cancel.clone(), &mut tasks).await.unwrap();
        Running { store, authority, url: format!("https://{address}"), cancel, tasks, folder }
    }

    fn actor() -> Actor {
        Actor { name: String::from("test"), role: String::from("admin"), source_address: String::new() }
    }

    async fn token(&self, uses: i64, lifetime: SignedDuration) -> EnrolmentToken {
        let secret = Secret::generate().unwrap();
        let new = NewEnrolmentToken {
            label: String::from("test"),
            secret_hash: secret.hash(),
            uses,
            expires_at: Timestamp::now() + lifetime,
        };
        let mut transaction = self.store.begin(&Running::actor()).await.unwrap();
        let kept = transaction.create_enrolment_token(new).await.unwrap();
        transaction.commit().await.unwrap();
        EnrolmentToken { id: kept.id.parse().unwrap(), secret, authority: self.authority.fingerprint() }
    }

    async fn enrol_with(
        &self,
        token: &EnrolmentToken,
        node: &str,
        machine: &str,
    ) -> Result<Identity, Status> {
        let key = NewKey::generate().unwrap();
        let request = EnrolRequest {
            token: token.reveal(),
            node: node.to_owned(),
            machine: machine.to_owned(),
            csr_der: key.request().unwrap(),
            version: String::from("0"),
        };
        let channel = connect(&self.url, &Trust::Pinned(self.authority.fingerprint())).await.unwrap();
        let response = EnrolmentClient::new(channel).enrol(request).await?.into_inner();
        Ok(key.certified(&response.certificate_chain_der).unwrap())
    }

    async fn enrol(&self, node: &str) -> Identity {
        let token = self.token(1, SignedDuration::from_hours(1)).await;
        self.enrol_with(&token, node, "machine").await.unwrap()
    }

    async fn client(&self, identity: &Identity) -> GatewayClient<tonic::transport::Channel> {
        let trust = Trust::Authority { authority: self.authority.certificate(), identity };
        GatewayClient::new(connect(&self.url, &trust).await.unwrap())
            .max_encoding_message_size(64 * 1024 * 1024)
    }

    async fn session(&self, identity: &Identity) -> Result<Conversation, Status> {
        let (to, outgoing) = mpsc::channel(64);
        let hello = Hello { version: String::from("0"), driver: String::from("guard"), ..Hello::default() };
        to.send(said(to_console::Message::Hello(hello))).await.unwrap();
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
        let from = self.client(identity).await.session(outgoing).await?.into_inner();
        Ok(Conversation { to, from })
    }

    async fn put_policy(&self, name: &str, document: &str) {
        let new = NewPolicy {
            name: name.to_owned(),
            kind: String::from("RuntimePolicy"),
            document: document.to_owned(),
            mode: String::from("Enforce"),
            rules: 1,
        };
        let mut transaction = self.store.begin(&Running::actor()).await.unwrap();
        transaction.create_policy(new, "").await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn stored(&self) -> Vec<StoredEvent> {
        let mut stored: Vec<StoredEvent> = Vec::new();
        loop {
            let seq = stored.last().map_or(0, |last| last.seq);
            let more = self.store.events_after(seq, 1000).await.unwrap();
            if more.is_empty() {
                return stored;
            }
            stored.extend(more);
        }
    }

    /// Ends it as a crash would: nothing is said to anybody.
    async fn kill(mut self) -> (tempfile::TempDir, Arc<Authority>, SocketAddr) {
        self.tasks.shutdown().await;
        self.store.close().await;
        let address = self.url.trim_start_matches("https://").parse().unwrap();
        (self.folder, self.authority, address)
    }
}

/// A session from the enforcer's side.
struct Conversation {
    to: mpsc::Sender<ToConsole>,
    from: Streaming<ToEnforcer>,
}

impl Conversation {
    async fn say(&self, message: to_console::Message) {
        self.to.send(said(message)).await.unwrap();
    }

    async fn send_events(&self, sequence: u64, events: &[Event]) {
        let json = events.iter().map(|event| serde_json::to_vec(event).unwrap()).collect();
        self.say(to_console::Message::Events(Events { sequence, json })).await;
    }

    async fn hear(&mut self) -> Option<to_enforcer::Message> {
        let message = timeout(PATIENCE, self.from.message()).await.expect("the console says nothing");
        message.ok().flatten().and_then(|message| message.message)
    }

    /// Up to which number events are stored, once the console says so.
    async fn stored(&mut self) -> u64 {
        match self.hear().await {
            Some(to_enforcer::Message::EventsStored(stored)) => stored.sequence,
            other => panic!("expected events to be stored, heard {other:?}"),
        }
    }

    async fn goodbye(&mut self) -> goodbye::Reason {
        loop {
            match self.hear().await {
                Some(to_enforcer::Message::Goodbye(goodbye @ Goodbye { .. })) => return goodbye.reason(),
                Some(_) => {}
                None => panic!("the session ended without a goodbye"),
            }
        }
    }
}

fn said(message: to_console::Message) -> ToConsole {
    ToConsole { message: Some(message) }
}

fn event(message: &str) -> Event {
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
    .unwrap()
}
