//! Events: search, one with its story, counts, and the live stream.

mod statistics;
mod stream;
mod types;

use axum::Json;
use axum::extract::State;
use jiff::SignedDuration;
use moat_store::{Cursor, EventFilter, Store, StoreError, StoredEvent};

use super::extract::{Query, Segments};
use super::page::Page;
use super::policies::{PolicySource, definition};
use super::problem::Problem;
use super::route::{Route, get};
use crate::Console;
use crate::access::{Access, Action, Resource};
pub use statistics::{default_range, read as read_statistics, top as read_top};
pub use types::*;

const READ: Access = Access::To(Resource::Events, Action::Read);
/// What belongs to the story of an event: this long before and after it.
const RELATED: SignedDuration = SignedDuration::from_mins(10);
const MAX_RELATED: usize = 50;

pub fn routes() -> Vec<Route> {
    vec![
        get("/events", READ, "listEvents", "Events, newest first", list),
        get(
            "/events/stream",
            READ,
            "streamEvents",
            "Events as they come, by server-sent events",
            stream::open,
        ),
        get("/events/statistics", READ, "getEventStatistics", "Events counted over time", statistics),
        get("/events/top", READ, "getTopOffenders", "What had most events", top),
        get("/events/{id}", READ, "getEvent", "One event with the story around it", show),
    ]
}

impl From<StoredEvent> for EventRecord {
    fn from(stored: StoredEvent) -> EventRecord {
        EventRecord {
            seq: stored.seq,
            enforcer_id: stored.enforcer_id,
            workload: stored.workload,
            event: stored.event,
        }
    }
}

impl EventQuery {
    /// The store's filter, and what is about the page.
    fn into_filter(self) -> (EventFilter, Option<usize>, Option<String>) {
        let filter = EventFilter {
            from: self.from,
            to: self.to,
            types: self.types.0,
            actions: self.actions.0,
            severity: self.severity,
            namespaces: self.namespaces.0,
            pods: self.pods.0,
            containers: self.containers.0,
            workloads: self.workloads.0,
            policies: self.policies.0,
            rules: self.rules.0,
            nodes: self.nodes.0,
            enforcers: self.enforcers.0,
            text: self.text,
        };
        (filter, self.limit, self.cursor)
    }
}

async fn list(
    State(console): State<Console>,
    Query(query): Query<EventQuery>,
) -> Result<Json<EventPage>, Problem> {
    let (filter, limit, cursor) = query.into_filter();
    let cursor: Option<Cursor> = cursor.map(|cursor| cursor.parse()).transpose()?;
    let limit = limit.unwrap_or(100).clamp(1, 1000);
    let page = console.store().search_events(&filter, cursor, limit).await?;
    Ok(Json(EventPage {
        items: page.events.into_iter().map(EventRecord::from).collect(),
        next: page.next.map(|next| next.to_string()),
        searched_to: page.searched_to,
    }))
}

async fn show(
    State(console): State<Console>,
    Segments(id): Segments<String>,
) -> Result<Json<EventDetail>, Problem> {
    let store = console.store();
    let stored = store.event(&id).await?;
    let rule = deciding_rule(store, &stored).await?;
    let related = related(store, &stored).await?;
    Ok(Json(EventDetail { record: stored.into(), rule, related }))
}

/// `None` where no policy decided, or it or its rule is there no longer.
async fn deciding_rule(store: &Store, stored: &StoredEvent) -> Result<Option<DecidingRule>, StoreError> {
    let (Some(name), Some(rule)) = (&stored.event.policy_name, &stored.event.rule) else { return Ok(None) };
    let own = store.node_policies_of(&stored.enforcer_id).await?;
    let own = own.into_iter().find(|policy| policy.kind == "RuntimePolicy" && policy.name == *name);
    let (source, revision, document) = match own {
        Some(policy) => (PolicySource::Node, None, policy.document),
        None => match store.policy(name).await {
            Ok(policy) => (PolicySource::Console, Some(policy.revision), policy.document),
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    Ok(definition(&document, rule).map(|(mode, definition)| DecidingRule {
        policy: name.clone(),
        rule: rule.clone(),
        source,
        revision,
        mode,
        definition,
    }))
}

async fn related(store: &Store, stored: &StoredEvent) -> Result<Vec<EventRecord>, StoreError> {
    let event = &stored.event;
    let (Some(namespace), Some(container)) = (&event.namespace, &event.container_name) else {
        return Ok(Vec::new());
    };
    let filter = EventFilter {
        from: event.timestamp.checked_sub(RELATED).ok(),
        to: event.timestamp.checked_add(RELATED).ok(),
        namespaces: vec![namespace.clone()],
        pods: event.pod_name.iter().cloned().collect(),
        containers: vec![container.clone()],
        enforcers: vec![stored.enforcer_id.clone()],
        ..EventFilter::default()
    };
    let page = store.search_events(&filter, None, MAX_RELATED + 1).await?;
    let others = page.events.into_iter().filter(|other| other.seq != stored.seq).take(MAX_RELATED);
    Ok(others.map(EventRecord::from).collect())
}

async fn statistics(
    State(console): State<Console>,
    Query(query): Query<StatisticsQuery>,
) -> Result<Json<Statistics>, Problem> {
    let (from, to) = statistics::range(query.from, query.to)?;
    Ok(Json(read_statistics(console.store(), from, to, query.bucket).await?))
}

async fn top(
    State(console): State<Console>,
    Query(query): Query<TopQuery>,
) -> Result<Json<Page<TopEntry>>, Problem> {
    let (from, to) = statistics::range(query.from, query.to)?;
    let limit = query.limit.unwrap_or(10).clamp(1, 100);
    Ok(Json(Page::whole(read_top(console.store(), query.by, from, to, limit).await?)))
}
