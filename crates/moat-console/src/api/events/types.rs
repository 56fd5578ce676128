//! What the API says about events.

use std::collections::BTreeMap;

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, Severity};
use moat_policy::model::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::extract::List;
use crate::api::policies::PolicySource;

/// Which events. Conditions are AND-ed; the values of one, with commas between them, are OR-ed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EventQuery {
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub to: Option<Timestamp>,
    pub types: List<EventType>,
    pub actions: List<EventAction>,
    /// At least so severe.
    pub severity: Option<Severity>,
    pub namespaces: List<String>,
    pub pods: List<String>,
    pub containers: List<String>,
    pub policies: List<String>,
    pub rules: List<String>,
    pub nodes: List<String>,
    pub enforcers: List<String>,
    /// `NAMESPACE/KIND/NAME`.
    pub workloads: List<String>,
    /// Words that all occur in the event, each at the beginning of a word: `/etc/pass` finds `/etc/passwd`.
    pub text: String,
    /// Of a list: 100 where absent, at most 1,000.
    pub limit: Option<usize>,
    /// Of a list: `next` of the page before. Of the stream: the `id` of the last event seen, as `Last-Event-ID`.
    pub cursor: Option<String>,
}

/// A page of events, newest first.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventPage {
    /// Maybe fewer than asked for, even none, and more may follow: a search that finds little stops after a bounded
    /// time.
    pub items: Vec<EventRecord>,
    /// `cursor` of the next page; null after the last.
    pub next: Option<String>,
    /// Everything from here on was searched.
    pub searched_to: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventRecord {
    /// Number in the order of arrival.
    pub seq: i64,
    pub enforcer_id: String,
    /// `NAMESPACE/KIND/NAME`, where it is known.
    pub workload: Option<String>,
    pub event: Event,
}

/// What the stream sends: `event` with one record, `gap` when the reader missed some, `heartbeat` every 15 s.
/// The name of the item is the server-sent event's `event`, its value the `data`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum StreamItem {
    Event(Box<EventRecord>),
    Gap(Gap),
    Heartbeat(Heartbeat),
}

/// The reader was too slow, or away too long: the list from `after` on has what it missed.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// How many events were passed over, where that is known.
    pub missed: Option<u64>,
    /// Time of the last event that was sent before.
    pub after: Option<Timestamp>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    pub at: Timestamp,
}

/// One event with the story around it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventDetail {
    pub record: EventRecord,
    /// The rule that decided, as it stands now.
    pub rule: Option<DecidingRule>,
    /// Other events of the same container within ten minutes, newest first.
    pub related: Vec<EventRecord>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecidingRule {
    pub policy: String,
    pub rule: String,
    pub source: PolicySource,
    /// None of a policy of the node's own folder.
    pub revision: Option<i64>,
    pub mode: Mode,
    pub definition: serde_json::Value,
}

/// Which events are counted, and how finely.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct StatisticsQuery {
    /// A day ago where absent.
    pub from: Option<Timestamp>,
    /// Now where absent.
    pub to: Option<Timestamp>,
    /// Length of a bucket in seconds, in whole minutes; chosen for about 60 buckets where absent.
    pub bucket: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    pub from: Timestamp,
    pub to: Timestamp,
    pub bucket_seconds: u64,
    pub total: i64,
    pub by_severity: BTreeMap<Severity, i64>,
    pub by_action: BTreeMap<EventAction, i64>,
    pub by_type: BTreeMap<EventType, i64>,
    /// Every bucket of the range, also the empty ones.
    pub buckets: Vec<Bucket>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Its start.
    pub at: Timestamp,
    pub total: i64,
    pub by_severity: BTreeMap<Severity, i64>,
    pub by_action: BTreeMap<EventAction, i64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopQuery {
    pub by: TopBy,
    /// A day ago where absent.
    #[serde(default)]
    pub from: Option<Timestamp>,
    #[serde(default)]
    pub to: Option<Timestamp>,
    /// 10 where absent, at most 100.
    #[serde(default)]
    pub limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum TopBy {
    Policy,
    Workload,
    Executable,
    Node,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopEntry {
    /// Name of the policy, `NAMESPACE/KIND/NAME`, path of the executable, or the node.
    pub key: String,
    pub count: i64,
}
