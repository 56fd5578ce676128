//! One session: begun with a greeting, it goes on until either side ends it.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use moat_wire::gateway::proto::gateway_client::GatewayClient;
use moat_wire::gateway::proto::{
    ActivitiesTaken, Goodbye, Hello, PolicySet, RenewRequest, ToConsole, goodbye, to_console, to_enforcer,
};
use moat_wire::gateway::{ChannelError, Identity, IdentityError, MAX_MESSAGE, NewKey, Trust, connect};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::enrolment::{EnrolError, Enrolled, Enrolment};
use super::kept::{self, Kept};
use super::shared::Shared;
use super::{ANSWER, Agent, acknowledge, activities, events, own_policies, report};

/// Messages that wait to be sent.
const QUEUE: usize = 4;
/// How often the clock is looked at, for it may jump.
const LOOK_AT_CLOCK: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("the console at {url}: {source}")]
    Channel { url: String, source: ChannelError },
    #[error("the console does not take this node's certificate: {0}")]
    TurnedAway(String),
    #[error("the session with the console broke: {}", .0.message())]
    Broken(Status),
    #[error("the console ended the connection")]
    Closed,
    #[error("the renewed certificate cannot be used: {0}")]
    Renewal(IdentityError),
    #[error(transparent)]
    Enrolment(#[from] EnrolError),
    #[error("what is kept for the console cannot be read or written: {0}")]
    Io(#[from] std::io::Error),
    #[error("the agent is ending")]
    Ending,
}

/// How a session came to its end.
#[derive(Debug)]
pub enum Ended {
    Renewed,
    Goodbye(String),
}

/// Where the parts of a session put what they have to say.
pub type Sender = mpsc::Sender<ToConsole>;

pub async fn run(
    url: &str,
    enrolled: &Enrolled,
    enrolment: &Enrolment,
    kept: &Arc<Mutex<Kept>>,
    spool: &Shared,
    agent: &Agent,
) -> Result<Ended, SessionError> {
    let trust = Trust::Authority { authority: &enrolled.authority, identity: &enrolled.identity };
    let channel =
        connect(url, &trust).await.map_err(|source| SessionError::Channel { url: url.to_owned(), source })?;
    let mut client = GatewayClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    if is_due(&enrolled.identity) {
        return renew(&mut client, enrolment).await;
    }

    let (to, outgoing) = mpsc::channel(QUEUE);
    let hello = Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        driver: agent.driver.to_owned(),
        capabilities_json: match agent.capabilities.get().await {
            Some(capabilities) => serde_json::to_vec(&*capabilities).unwrap_or_default(),
            None => Vec::new(),
        },
        policy_set: kept::lock(kept).set(),
    };
    send(&to, to_console::Message::Hello(hello)).await?;
    let incoming = client.session(ReceiverStream::new(outgoing)).await.map_err(refused)?.into_inner();
    tracing::info!(url, "in session with the console");

    let (stored_to, stored) = watch::channel(0);
    let (states_to, states) = watch::channel(acknowledge::states(&kept::lock(kept)));
    let (taken_to, taken) = watch::channel(activities::Taken::default());
    let heard = Heard { stored: stored_to, states: states_to, taken: taken_to };
    let (receive, due) = (receive(incoming, kept, spool, &heard), due(&enrolled.identity));
    let (events, reports) = (events::send(spool, &to, stored, agent), report::send(spool, &to, agent));
    let acknowledgements = acknowledge::send(&to, states, agent);
    let activities = activities::send(&to, taken, agent);
    let given = kept::lock(kept).files();
    let own = own_policies::send(&to, &given, agent);
    let (receive, events, reports) = (pin!(receive), pin!(events), pin!(reports));
    let (acknowledgements, activities, own) = (pin!(acknowledgements), pin!(activities), pin!(own));
    tokio::select! {
        ended = receive => ended,
        error = events => Err(error),
        error = reports => Err(error),
        error = acknowledgements => Err(error),
        error = activities => Err(error),
        error = own => Err(error),
        () = due => renew(&mut client, enrolment).await,
    }
}

pub async fn send(to: &Sender, message: to_console::Message) -> Result<(), SessionError> {
    to.send(ToConsole { message: Some(message) }).await.map_err(|_| SessionError::Closed)
}

/// What the parts of a session are told of what the console says.
struct Heard {
    stored: watch::Sender<u64>,
    states: watch::Sender<acknowledge::Policies>,
    taken: watch::Sender<activities::Taken>,
}

/// Takes what the console says, until it says goodbye.
async fn receive(
    mut incoming: Streaming<moat_wire::gateway::proto::ToEnforcer>,
    kept: &Arc<Mutex<Kept>>,
    spool: &Shared,
    heard: &Heard,
) -> Result<Ended, SessionError> {
    let mut parts = PolicySet::default();
    while let Some(message) = incoming.message().await.map_err(refused)? {
        match message.message {
            Some(to_enforcer::Message::PolicySet(part)) => {
                let more = part.more;
                parts.set = part.set;
                parts.base = part.base;
                parts.upserts.extend(part.upserts);
                parts.removed.extend(part.removed);
                if !more {
                    let set = std::mem::take(&mut parts);
                    let number = set.set;
                    let keeping = Arc::clone(kept);
                    let kept = spawn_blocking(move || {
                        let mut kept = kept::lock(&keeping);
                        kept.take(&set).map(|()| acknowledge::states(&kept))
                    });
                    heard.states.send_replace(kept.await.map_err(std::io::Error::from)??);
                    tracing::info!(set = number, "the console's policies are kept");
                }
            }
            Some(to_enforcer::Message::EventsStored(message)) => {
                spool.stored(message.sequence).await?;
                heard.stored.send_replace(message.sequence);
            }
            Some(to_enforcer::Message::ActivitiesTaken(ActivitiesTaken { sequence, stored })) => {
                heard.taken.send_replace(activities::Taken { sequence, stored });
            }
            Some(to_enforcer::Message::Goodbye(Goodbye { reason, message })) => {
                let revoked = reason == i32::from(goodbye::Reason::Revoked);
                return if revoked {
                    Err(SessionError::TurnedAway(message))
                } else {
                    Ok(Ended::Goodbye(message))
                };
            }
            // Of a newer console.
            None => {}
        }
    }
    Err(SessionError::Closed)
}

fn is_due(identity: &Identity) -> bool {
    identity.certificate.renew_from() <= Timestamp::now()
}

/// Waits until the certificate is to be renewed.
async fn due(identity: &Identity) {
    let mut tick = interval(LOOK_AT_CLOCK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !is_due(identity) {
        tick.tick().await;
    }
}

/// Gets a certificate for a new key. The old one counts until the new one is kept.
async fn renew(client: &mut GatewayClient<Channel>, enrolment: &Enrolment) -> Result<Ended, SessionError> {
    let key = NewKey::generate().map_err(SessionError::Renewal)?;
    let mut request =
        tonic::Request::new(RenewRequest { csr_der: key.request().map_err(SessionError::Renewal)? });
    request.set_timeout(ANSWER);
    let chain = client.renew(request).await.map_err(refused)?.into_inner().certificate_chain_der;
    let identity = key.certified(&chain).map_err(SessionError::Renewal)?;
    enrolment.renewed(&identity)?;
    tracing::info!(until = %identity.certificate.not_after, "the certificate was renewed");
    Ok(Ended::Renewed)
}

fn refused(status: Status) -> SessionError {
    match status.code() {
        Code::Unauthenticated => SessionError::TurnedAway(status.message().to_owned()),
        _ => SessionError::Broken(status),
    }
}
