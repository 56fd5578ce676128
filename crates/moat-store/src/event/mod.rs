//! Events: written in batches, found by time, fields and words.
//!
//! Every event has a sequence number in the order of arrival; 512 consecutive ones are a block, 64 blocks a segment. For each
//! block the store knows its span of time, and for each segment which terms occur in which of its blocks: a term is a hash of
//! a field's value or of the beginning of a word. A search looks up the blocks that hold all its terms, and reads only those,
//! newest first. That costs less than one index entry an event, whatever can be searched for, where an index for each field
//! and each word would cost forty; and all entries that are written are among the newest, however many there are.

mod matches;
pub(crate) mod partition;
mod read;
mod retention;
mod search;
mod statistics;
mod terms;
mod write;

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, Severity};
use serde::Serialize;

use crate::database::Row;
use crate::{Result, StoreError};

pub use retention::{Keep, Purged, Retention};
pub use search::{Cursor, EventPage};
pub use statistics::{Bucket, Top, TopSubject};
pub use write::Inserted;
pub(crate) use write::{Writer, index};

/// Events are numbered in the order of arrival; a block is those that agree in all bits but the lowest nine.
const BLOCK_BITS: u32 = 9;
/// And a segment is the blocks that agree in all bits but the lowest six: a term's blocks in it are the bits of a number.
const SEGMENT_BITS: u32 = 6;

/// A block among those of its segment.
fn block_bit(block: i64) -> i64 {
    1 << (block & ((1 << SEGMENT_BITS) - 1))
}

/// An event as an enforcer sent it.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub enforcer_id: String,
    /// `NAMESPACE/KIND/NAME` of the workload, where the sender knows it.
    pub workload: Option<String>,
    pub event: Event,
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// In the order of arrival.
    pub seq: i64,
    pub enforcer_id: String,
    pub workload: Option<String>,
    pub event: Event,
}

/// Which events to find; absent and empty fields match all. Of several values of a field one must match.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    pub types: Vec<EventType>,
    pub actions: Vec<EventAction>,
    /// At least this.
    pub severity: Option<Severity>,
    pub namespaces: Vec<String>,
    pub pods: Vec<String>,
    pub containers: Vec<String>,
    pub workloads: Vec<String>,
    pub policies: Vec<String>,
    pub rules: Vec<String>,
    pub nodes: Vec<String>,
    pub enforcers: Vec<String>,
    /// Words that must all occur, each at the beginning of a word of the event: `/etc/pass` finds `/etc/passwd`.
    pub text: String,
}

fn stored(row: &Row) -> Result<StoredEvent> {
    let document: String = row.get("document")?;
    Ok(StoredEvent {
        seq: row.get("seq")?,
        enforcer_id: row.get("enforcer_id")?,
        workload: row.get("workload")?,
        event: serde_json::from_str(&document)
            .map_err(|error| StoreError::Corrupt { what: "event", why: error.to_string() })?,
    })
}

/// The id's sixteen bytes.
fn id_bytes(id: &str) -> Option<Vec<u8>> {
    uuid::Uuid::parse_str(id).ok().map(|id| id.as_bytes().to_vec())
}
