//! Live events by server-sent events.
//!
//! The stream never holds anybody up: who reads too slowly, or was away too long, gets a `gap` and goes on with what
//! is new. It ends when the session or the token does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::response::sse::{Event as Item, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use futures::stream::unfold;
use jiff::Timestamp;
use moat_store::{EventFilter, StoredEvent};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::types::{EventQuery, EventRecord, Gap, Heartbeat, StreamItem};
use crate::Console;
use crate::access::{Caller, is_still_valid};
use crate::api::extract::Query;
use crate::api::openapi::Operation;
use crate::api::problem::Problem;
use crate::api::route::{Answer, Part};
use crate::live::{Listening, News};

const HEARTBEAT: Duration = Duration::from_secs(15);
/// Most events that are sent again to a reader that comes back; beyond it, there is a gap.
const MAX_REPLAY: usize = 10_000;
const REPLAY_PAGE: usize = 256;

/// Where a reader was when its connection broke: browsers send it by themselves.
#[derive(Debug)]
pub struct LastEventId(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let id = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
        Ok(LastEventId(id.filter(|id| !id.is_empty()).map(str::to_owned)))
    }
}

impl Part for LastEventId {
    fn describe(operation: &mut Operation<'_>) {
        operation.header(
            "Last-Event-ID",
            false,
            "The `id` of the last event seen: those after it are sent again",
        );
    }
}

/// The answer that goes on.
#[derive(Debug)]
pub struct EventStream(Response);

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Answer for EventStream {
    fn describe(operation: &mut Operation<'_>) {
        operation.answer_as::<StreamItem>(
            "text/event-stream",
            "Server-sent events; `event` and `data` are a StreamItem",
        );
    }
}

pub async fn open(
    State(console): State<Console>,
    caller: Caller,
    LastEventId(last): LastEventId,
    Query(query): Query<EventQuery>,
) -> Result<EventStream, Problem> {
    let (filter, _, cursor) = query.into_filter();
    let after = last.or(cursor).map(|id| id.parse::<i64>().map_err(|_| Problem::cursor())).transpose()?;
    let listening = console
        .live()
        .listen()
        .ok_or_else(|| Problem::unavailable("too many streams are open; lists still work"))?;
    // Listening comes first: what happens from here on is in the channel, and what is in both is sent once.
    let newest = console.store().newest_event().await?;
    let reader = Reader {
        events: listening.events(),
        filter,
        seen: after.unwrap_or(newest).min(newest),
        replay_to: newest,
        replayed: 0,
        last_sent: None,
        waiting: VecDeque::new(),
        heartbeat: Instant::now() + HEARTBEAT,
        caller,
        console,
        _listening: listening,
    };
    Ok(EventStream(Sse::new(items(reader)).into_response()))
}

struct Reader {
    console: Console,
    caller: Caller,
    filter: EventFilter,
    events: Receiver<News>,
    /// Everything up to here was sent, or is not for this reader.
    seen: i64,
    /// Up to here events are read from the store.
    replay_to: i64,
    replayed: usize,
    last_sent: Option<Timestamp>,
    waiting: VecDeque<StreamItem>,
    heartbeat: Instant,
    _listening: Listening,
}

fn items(reader: Reader) -> impl Stream<Item = Result<Item, axum::Error>> {
    unfold(reader, |mut reader| async move {
        let item = reader.next().await?;
        Some((write(item), reader))
    })
}

fn write(item: StreamItem) -> Result<Item, axum::Error> {
    match item {
        StreamItem::Event(record) => {
            Item::default().event("event").id(record.seq.to_string()).json_data(record)
        }
        StreamItem::Gap(gap) => Item::default().event("gap").json_data(gap),
        StreamItem::Heartbeat(heartbeat) => Item::default().event("heartbeat").json_data(heartbeat),
    }
}

impl Reader {
    /// `None` when the stream ends.
    async fn next(&mut self) -> Option<StreamItem> {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                return Some(item);
            }
            if self.seen < self.replay_to {
                self.replay().await?;
                continue;
            }
            tokio::select! {
                () = self.console.cancel().cancelled() => return None,
                () = sleep_until(self.heartbeat) => return self.beat().await,
                received = self.events.recv() => match received {
                    Ok(News::Event(event)) => self.consider(&event),
                    Ok(News::Large(seq)) if seq > self.seen => {
                        self.seen = seq;
                        return Some(StreamItem::Gap(Gap { missed: Some(1), after: self.last_sent }));
                    }
                    Ok(News::Large(_)) => {}
                    Err(RecvError::Lagged(missed)) => {
                        self.console.metrics().stream_gaps.inc();
                        return Some(StreamItem::Gap(Gap { missed: Some(missed), after: self.last_sent }));
                    }
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }

    fn consider(&mut self, event: &StoredEvent) {
        if event.seq <= self.seen {
            return;
        }
        self.seen = event.seq;
        if self.filter.matches(event) {
            self.last_sent = Some(event.event.timestamp);
            self.waiting.push_back(StreamItem::Event(Box::new(EventRecord::from(event.clone()))));
        }
    }

    /// Reads what the reader missed while it was away.
    async fn replay(&mut self) -> Option<()> {
        if self.replayed >= MAX_REPLAY {
            self.seen = self.replay_to;
            self.waiting.push_back(StreamItem::Gap(Gap { missed: None, after: self.last_sent }));
            return Some(());
        }
        let events = match self.console.store().events_after(self.seen, REPLAY_PAGE).await {
            Ok(events) => events,
            Err(error) => {
                // The reader comes back, with where it was.
                tracing::warn!(%error, "a stream of events ends");
                return None;
            }
        };
        if events.is_empty() {
            self.seen = self.replay_to;
        }
        self.replayed += events.len();
        for event in &events {
            self.consider(event);
        }
        Some(())
    }

    async fn beat(&mut self) -> Option<StreamItem> {
        self.heartbeat = Instant::now() + HEARTBEAT;
        is_still_valid(self.console.store(), &self.caller)
            .await
            .then(|| StreamItem::Heartbeat(Heartbeat { at: Timestamp::now() }))
    }
}
