//! Over real connections, against a real store of either engine.

mod access;
mod clock;
mod hostile;
mod sessions;

use std::sync::LazyLock;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moat_event::Event;
use moat_store::{Actor, NewEnrolmentToken, NewPolicy, StoredEvent};
use moat_testkit::gateway::{Conversation, Enforcer, event};
use moat_testkit::{Postgres, skip};
use moat_wire::gateway::proto::enrolment_client::EnrolmentClient;
use moat_wire::gateway::proto::gateway_client::GatewayClient;
use moat_wire::gateway::proto::{EnrolRequest, Events, goodbye, to_console, to_enforcer};
use moat_wire::gateway::{NewKey, Trust, connect};
use moat_wire::token::{EnrolmentToken, Secret};
use tokio::time::timeout;
use tonic::Status;
use uuid::Uuid;

use super::*;

/// Far longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// One server for all tests of this program; it ends with it.
static SERVER: LazyLock<Result<Postgres, String>> =
    LazyLock::new(|| Postgres::start().map_err(|error| format!("{error:#}")));

/// Makes of each function a test over SQLite and one over PostgreSQL.
macro_rules! over_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Running::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                if let Some(console) = super::Running::postgres().await {
                    super::$name(console).await;
                }
            })*
        }
    };
}
use over_both;

/// A gateway on a store of its own.
struct Running {
    store: Store,
    authority: Arc<Authority>,
    url: String,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
    place: Place,
}

/// Where the store is.
struct Place {
    url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Running {
    async fn sqlite() -> Running {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("moat.db").display());
        Running::start(Place { url, _folder: Some(folder) }).await
    }

    /// `None` where PostgreSQL is not installed.
    async fn postgres() -> Option<Running> {
        match &*SERVER {
            Ok(server) => {
                Some(Running::start(Place { url: server.database().unwrap(), _folder: None }).await)
            }
            Err(why) => {
                skip("postgres", why);
                None
            }
        }
    }

    async fn start(place: Place) -> Running {
        let authority = Arc::new(Authority::create(Timestamp::now()).unwrap());
        Running::on(place, authority, "127.0.0.1:0".parse().unwrap()).await
    }

    async fn on(place: Place, authority: Arc<Authority>, address: SocketAddr) -> Running {
        let store = Store::open(&place.url).await.unwrap();
        let cancel = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let address =
            start(store.clone(), Arc::clone(&authority), address, cancel.clone(), &mut tasks).await.unwrap();
        Running { store, authority, url: format!("https://{address}"), cancel, tasks, place }
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
    ) -> Result<Enforcer, Status> {
        Enforcer::enrol(&self.url, token, node, machine).await
    }

    async fn enrol(&self, node: &str) -> Enforcer {
        let token = self.token(1, SignedDuration::from_hours(1)).await;
        self.enrol_with(&token, node, "machine").await.unwrap()
    }

    /// With a certificate of that authority that was issued at that time, and that the store knows if `known`.
    async fn certified(&self, authority: &Authority, at: Timestamp, known: Option<&Enforcer>) -> Enforcer {
        let key = NewKey::generate().unwrap();
        let id = known.map_or("0190", Enforcer::id);
        let issued = authority.enforcer(id, &key.request().unwrap(), at).unwrap();
        if known.is_some() {
            let mut transaction = self.store.begin(&Running::actor()).await.unwrap();
            let certificate = &issued.certificate;
            transaction.add_certificate(id, &certificate.serial, certificate.not_after).await.unwrap();
            transaction.commit().await.unwrap();
        }
        let chain: Vec<_> = issued.chain.iter().map(|der| der.to_vec()).collect();
        Enforcer::with(key.certified(&chain).unwrap(), self.authority.certificate().clone())
    }

    async fn session(&self, enforcer: &Enforcer) -> Result<Conversation, Status> {
        enforcer.session(&self.url).await
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
    async fn kill(mut self) -> (Place, Arc<Authority>, SocketAddr) {
        self.tasks.shutdown().await;
        self.store.close().await;
        let address = self.url.trim_start_matches("https://").parse().unwrap();
        (self.place, self.authority, address)
    }
}
