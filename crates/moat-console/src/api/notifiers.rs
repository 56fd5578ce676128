//! Notifiers: where events are sent on to, and what did not arrive.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use moat_store::{Delivery, NewNotifier, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::extract::{Body, Created, Done, IfMatch, Query, Segments, Versioned};
use super::page::Page;
use super::problem::Problem;
use super::route::{Route, delete, get, post, put};
use crate::Console;
use crate::access::{Access, Action, Caller, Resource};
use crate::notify::config::{Config, ConfigError};
use crate::notify::destination::{Destination, Secrets};
use crate::notify::filter::Filter;
use crate::notify::sink::{InvalidDestination, Sink};
use crate::notify::status::Status;
use crate::notify::{TEST_DEADLINE, TestReport};

const READ: Access = Access::To(Resource::Notifiers, Action::Read);
const WRITE: Access = Access::To(Resource::Notifiers, Action::Write);

pub fn routes() -> Vec<Route> {
    vec![
        get("/notifiers", READ, "listNotifiers", "Where events are sent on to", list),
        post("/notifiers", WRITE, "createNotifier", "Send events on; from now on", create),
        get("/notifiers/{id}", READ, "getNotifier", "A notifier and how it fares", show),
        put("/notifiers/{id}", WRITE, "updateNotifier", "Change a notifier; it keeps its place", update),
        delete("/notifiers/{id}", WRITE, "deleteNotifier", "Delete a notifier and its dead letters", remove),
        post("/notifiers/{id}/test", WRITE, "testNotifier", "Send a test event now", test),
        get("/notifiers/{id}/dead-letters", READ, "listDeadLetters", "What did not arrive", letters),
        post(
            "/notifiers/{id}/dead-letters/retry",
            WRITE,
            "retryDeadLetters",
            "Send dead letters again",
            retry,
        ),
        delete("/notifiers/{id}/dead-letters", WRITE, "deleteDeadLetters", "Forget dead letters", forget),
    ]
}

/// A notifier as it is shown: without its secrets.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "Notifier")]
pub struct Shown {
    pub id: String,
    pub name: String,
    pub destination: Destination,
    /// Which secrets it has.
    pub secrets: Vec<String>,
    pub filter: Filter,
    pub enabled: bool,
    pub revision: i64,
    pub status: Status,
    /// Events that came since the last one that it has dealt with, whether or not they pass its filter.
    pub behind: i64,
    /// Batches that did not arrive.
    pub dead_letters: i64,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "NewNotifier")]
pub struct Written {
    pub name: String,
    pub destination: Destination,
    /// Only ever written. A change without them keeps those that are there, unless the address changes.
    #[serde(default)]
    pub secrets: Option<Secrets>,
    #[serde(default)]
    pub filter: Filter,
    #[serde(default = "enabled")]
    pub enabled: bool,
}

fn enabled() -> bool {
    true
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub id: String,
    pub events: Vec<String>,
    pub attempts: i64,
    pub error: String,
    pub at: Timestamp,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Of one dead letter; all of the notifier's where absent.
    #[serde(default)]
    letter: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Paging {
    #[serde(default)]
    limit: Option<usize>,
    #[serde(default)]
    cursor: Option<String>,
}

/// How many dead letters a call was about.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DeadLetterCount {
    pub letters: u64,
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Problem {
        match error {
            ConfigError::Open(_) => Problem::bad_request(error.to_string()),
            ConfigError::Form(_) | ConfigError::Seal(_) => {
                tracing::error!(%error, "a notifier's configuration");
                Problem::internal()
            }
        }
    }
}

impl From<InvalidDestination> for Problem {
    fn from(error: InvalidDestination) -> Problem {
        Problem::bad_request(error.to_string())
    }
}

async fn shown(store: &Store, notifier: moat_store::Notifier) -> Result<Shown, Problem> {
    let config = Config::read(&notifier.config)?;
    let behind = store.newest_event().await?.saturating_sub(notifier.cursor).max(0);
    let dead_letters = store.dead_letter_count(&notifier.id).await?;
    Ok(Shown {
        id: notifier.id,
        name: notifier.name,
        destination: config.destination,
        secrets: config.secrets,
        filter: serde_json::from_value(notifier.filter).map_err(ConfigError::from)?,
        enabled: notifier.enabled,
        revision: notifier.revision,
        // Of another version of Moat: its counts begin anew.
        status: serde_json::from_value(notifier.status).unwrap_or_default(),
        behind,
        dead_letters,
    })
}

async fn list(State(console): State<Console>) -> Result<Json<Page<Shown>>, Problem> {
    let mut items = Vec::new();
    for notifier in console.store().notifiers().await? {
        items.push(shown(console.store(), notifier).await?);
    }
    Ok(Json(Page::whole(items)))
}

async fn show(
    State(console): State<Console>,
    Segments(id): Segments<String>,
) -> Result<Versioned<Json<Shown>>, Problem> {
    let notifier = console.store().notifier(&id).await?;
    Ok(Versioned { revision: notifier.revision, answer: Json(shown(console.store(), notifier).await?) })
}

/// What is written, checked as far as it can be without sending, with its secrets sealed.
fn checked(console: &Console, written: Written, before: Option<&Config>) -> Result<NewNotifier, Problem> {
    let Written { name, destination, secrets, filter, enabled } = written;
    if name.trim().is_empty()
        || name.chars().count() > 100
        || name.contains(moat_event::escape::is_unprintable)
    {
        return Err(Problem::bad_request("name: must have 1 to 100 printable characters"));
    }
    let secrets = match (secrets, before) {
        (Some(secrets), _) => secrets,
        (None, Some(before)) if !before.secrets.is_empty() => {
            let same = |one: &Destination, other: &Destination| {
                (one.kind(), one.address()) == (other.kind(), other.address())
            };
            if !same(&destination, &before.destination) {
                let why =
                    "secrets: enter them again, for they are kept for the address that they were entered for";
                return Err(Problem::bad_request(why));
            }
            before.open(console.key())?
        }
        (None, _) => Secrets::default(),
    };
    filter.compile().map_err(|error| Problem::bad_request(format!("filter: {error}")))?;
    Sink::new(&destination, &secrets, console.egress(), TEST_DEADLINE)?;
    let kind = destination.kind().to_owned();
    let config = Config::seal(console.key(), destination, &secrets)?.write()?;
    let filter = serde_json::to_value(filter).map_err(ConfigError::from)?;
    Ok(NewNotifier { name, kind, config, filter, enabled })
}

async fn create(
    State(console): State<Console>,
    caller: Caller,
    Body(written): Body<Written>,
) -> Result<Created<Shown>, Problem> {
    let new = checked(&console, written, None)?;
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let notifier = transaction.create_notifier(new).await?;
    transaction.commit().await?;
    Ok(Created(shown(console.store(), notifier).await?))
}

async fn update(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
    IfMatch(revision): IfMatch,
    Body(written): Body<Written>,
) -> Result<Versioned<Json<Shown>>, Problem> {
    let before = Config::read(&console.store().notifier(&id).await?.config)?;
    let new = checked(&console, written, Some(&before))?;
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let notifier = transaction.update_notifier(&id, new, revision).await?;
    transaction.commit().await?;
    Ok(Versioned { revision: notifier.revision, answer: Json(shown(console.store(), notifier).await?) })
}

async fn remove(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Done, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.delete_notifier(&id).await?;
    transaction.commit().await?;
    Ok(Done)
}

async fn test(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
) -> Result<Json<TestReport>, Problem> {
    let notifier = console.store().notifier(&id).await?;
    let config = Config::read(&notifier.config)?;
    let secrets = config.open(console.key())?;
    let mut transaction = console.store().begin(&caller.actor()).await?;
    transaction.audit("test", "notifiers", &notifier.name, &json!({ "id": id }));
    transaction.commit().await?;
    let report =
        crate::notify::test(&notifier.name, &config.destination, &secrets, console.egress(), TEST_DEADLINE)
            .await?;
    Ok(Json(report))
}

async fn letters(
    State(console): State<Console>,
    Segments(id): Segments<String>,
    Query(Paging { limit, cursor }): Query<Paging>,
) -> Result<Json<Page<DeadLetter>>, Problem> {
    let limit = limit.unwrap_or(100).clamp(1, 1000);
    console.store().notifier(&id).await?;
    let found = console.store().dead_letters(&id, cursor.as_deref(), limit).await?;
    let next = (found.len() == limit).then(|| found.last().map(|letter| letter.id.clone())).flatten();
    Ok(Json(Page { items: found.into_iter().map(DeadLetter::from).collect(), next }))
}

impl From<Delivery> for DeadLetter {
    fn from(delivery: Delivery) -> DeadLetter {
        DeadLetter {
            id: delivery.id,
            events: delivery.event_ids,
            attempts: delivery.attempts,
            error: delivery.last_error.unwrap_or_default(),
            at: delivery.next_at,
        }
    }
}

async fn retry(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
    Query(Which { letter }): Query<Which>,
) -> Result<Json<DeadLetterCount>, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let letters = transaction.retry_dead_letters(&id, letter.as_deref()).await?;
    transaction.commit().await?;
    Ok(Json(DeadLetterCount { letters }))
}

async fn forget(
    State(console): State<Console>,
    caller: Caller,
    Segments(id): Segments<String>,
    Query(Which { letter }): Query<Which>,
) -> Result<Json<DeadLetterCount>, Problem> {
    let mut transaction = console.store().begin(&caller.actor()).await?;
    let letters = transaction.delete_dead_letters(&id, letter.as_deref()).await?;
    transaction.commit().await?;
    Ok(Json(DeadLetterCount { letters }))
}
