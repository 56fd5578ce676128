//! Writing events: one task takes what all sessions bring and commits it in groups, so that a thousand small batches cost
//! a few commits.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use moat_event::Event;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::statistics::{self, Counts};
use super::terms;
use super::{BLOCK_BITS, NewEvent, SEGMENT_BITS, block_bit, id_bytes};
use crate::database::{Connection, Database, Kind, Value, word};
use crate::watch::Feed;
use crate::{Change, Result, Store, StoreError};

/// Batches that wait for the writer; who brings more waits.
const WAITING_BATCHES: usize = 64;
/// Events of one commit, unless a single batch has more.
const GROUP_EVENTS: usize = 4096;

/// Events that are made ready without a break: the writer, too, waits for its turn.
const AT_ONCE: usize = 32;

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Inserted {
    pub stored: u64,
    /// Were stored before: sent again because their acknowledgement was lost.
    pub known: u64,
    /// Have no proper id, and are not kept.
    pub refused: u64,
}

impl Store {
    /// Stores a batch; when this returns, it is durable. Events that are known already are ignored.
    pub async fn insert_events(&self, events: impl Into<Arc<[NewEvent]>>) -> Result<Inserted> {
        let gone = || StoreError::Unavailable("the store is closed".into());
        let batch = events.into();
        // What waits for a place is not made ready: it takes as much memory again.
        let place = self.events.batches.reserve().await.map_err(|_| gone())?;
        // By whoever brings them: the writer, of which there is one, only writes.
        let mut events = Vec::with_capacity(batch.len());
        for index in 0..batch.len() {
            events.extend(Prepared::new(&batch, index));
            if index % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        let refused = (batch.len() - events.len()) as u64;
        if events.is_empty() {
            return Ok(Inserted { refused, ..Inserted::default() });
        }
        let (reply, answer) = oneshot::channel();
        place.send(Batch { events, reply });
        Ok(Inserted { refused, ..answer.await.map_err(|_| gone())?? })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Writer {
    batches: mpsc::Sender<Batch>,
}

#[derive(Debug)]
struct Batch {
    events: Vec<Prepared>,
    reply: oneshot::Sender<Result<Inserted>>,
}

impl Writer {
    /// Its task ends with the last clone of the store.
    pub fn start(database: Database, feed: Arc<Feed>) -> Self {
        let (batches, mut waiting) = mpsc::channel::<Batch>(WAITING_BATCHES);
        tokio::spawn(async move {
            let mut known = KnownTerms::default();
            while let Some(first) = waiting.recv().await {
                let mut size = first.events.len();
                let mut group = vec![first];
                while size < GROUP_EVENTS {
                    let Ok(next) = waiting.try_recv() else { break };
                    size += next.events.len();
                    group.push(next);
                }
                write(&database, &feed, &mut known, group).await;
            }
        });
        Self { batches }
    }
}

/// Terms of the newest block that are in the store already, so that they need not be tried again for each batch.
#[derive(Debug, Default)]
struct KnownTerms {
    block: i64,
    terms: HashSet<i64>,
}

async fn write(database: &Database, feed: &Feed, known: &mut KnownTerms, group: Vec<Batch>) {
    let (batches, replies): (Vec<_>, Vec<_>) =
        group.into_iter().map(|batch| (batch.events, batch.reply)).unzip();
    match insert(database, feed, known, batches).await {
        Ok(inserted) => {
            for (reply, inserted) in replies.into_iter().zip(inserted) {
                // Whoever is gone will send the batch again, and learn that it is known.
                let _ = reply.send(Ok(inserted));
            }
        }
        Err(error) => {
            tracing::warn!(%error, batches = replies.len(), "cannot store events");
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

/// An event made ready to be a row.
#[derive(Debug)]
struct Prepared {
    batch: Arc<[NewEvent]>,
    index: usize,
    /// As [`COLUMNS`] has them, but for the first, which is known when it is written.
    row: Vec<Value>,
    terms: Vec<i64>,
}

impl Prepared {
    /// `None` if the event has no proper id.
    fn new(batch: &Arc<[NewEvent]>, index: usize) -> Option<Self> {
        let NewEvent { enforcer_id, workload, event } = batch.get(index)?;
        let id = id_bytes(&event.id)?;
        let words = terms::words(event, workload.as_deref());
        let terms = terms::of(event, &words, workload.as_deref(), enforcer_id);
        let row = vec![
            0.into(),
            id.into(),
            event.timestamp.into(),
            enforcer_id.into(),
            word(&event.event_type),
            word(&event.action),
            (event.severity as i64).into(),
            (&event.namespace).into(),
            (&event.pod_name).into(),
            (&event.container_name).into(),
            workload.into(),
            (&event.policy_name).into(),
            (&event.rule).into(),
            (&event.node).into(),
            words.into(),
            serde_json::to_string(event).ok()?.into(),
        ];
        Some(Self { batch: Arc::clone(batch), index, row, terms })
    }

    /// Its row, which it then has no more.
    fn take_row(&mut self, seq: i64) -> Vec<Value> {
        let mut row = std::mem::take(&mut self.row);
        if let Some(first) = row.first_mut() {
            *first = seq.into();
        }
        row
    }
}

const COLUMNS: &[(&str, Kind)] = &[
    ("seq", Kind::Integer),
    ("id", Kind::Bytes),
    ("at", Kind::Integer),
    ("enforcer_id", Kind::Text),
    ("event_type", Kind::Text),
    ("action", Kind::Text),
    ("severity", Kind::Integer),
    ("namespace", Kind::Text),
    ("pod", Kind::Text),
    ("container", Kind::Text),
    ("workload", Kind::Text),
    ("policy", Kind::Text),
    ("rule", Kind::Text),
    ("node", Kind::Text),
    ("words", Kind::Text),
    ("document", Kind::Text),
];

/// Places in [`COLUMNS`].
const ENFORCER: usize = 3;
const WORKLOAD: usize = 10;

async fn insert(
    database: &Database,
    feed: &Feed,
    known: &mut KnownTerms,
    mut batches: Vec<Vec<Prepared>>,
) -> Result<Vec<Inserted>> {
    let events = batches.iter().map(Vec::len).sum::<usize>() as i64;
    let mut connection = database.begin().await?;
    // Locks the order of events until the commit: who sees a number sees all before it. Events that turn out to be known
    // leave their numbers unused.
    let last = connection.raise("event", events).await?;
    let first = last - events + 1;
    let rows = (first..).zip(batches.iter_mut().flatten()).map(|(seq, event)| event.take_row(seq)).collect();
    let added = connection.insert_many("event", COLUMNS, "ON CONFLICT (id, at) DO NOTHING", rows).await?;
    let known_already = if added == events.unsigned_abs() {
        HashSet::new()
    } else {
        missing(&mut connection, first..=last).await?
    };
    let mut inserted = vec![Inserted::default(); batches.len()];
    let mut blocks: BTreeMap<i64, Block> = BTreeMap::new();
    let mut counts = Counts::default();
    let mut seq = first;
    for (batch, result) in batches.iter().zip(&mut inserted) {
        for event in batch {
            if known_already.contains(&seq) {
                result.known += 1;
            } else if let Some(NewEvent { event: new, workload, .. }) = event.batch.get(event.index) {
                result.stored += 1;
                blocks.entry(seq >> BLOCK_BITS).or_insert_with(Block::empty).add(new, &event.terms);
                counts.add(new, workload.as_deref());
            }
            seq += 1;
        }
    }
    let newest = blocks.keys().next_back().copied();
    let fresh = write_blocks(&mut connection, known, &blocks).await?;
    statistics::add(&mut connection, counts).await?;
    connection.notify(Change::Events { up_to: last }.to_string()).await?;
    connection.commit().await?;
    if let Some(newest) = newest {
        if known.block != newest {
            *known = KnownTerms { block: newest, terms: HashSet::new() };
        }
        known.terms.extend(fresh.into_iter().filter_map(|(block, term)| (block == newest).then_some(term)));
    }
    feed.publish(Change::Events { up_to: last });
    Ok(inserted)
}

/// The numbers among these that no row has.
async fn missing(connection: &mut Connection, numbers: RangeInclusive<i64>) -> Result<HashSet<i64>> {
    let mut missing: HashSet<i64> = numbers.clone().collect();
    let range = vec![(*numbers.start()).into(), (*numbers.end()).into()];
    for row in connection.fetch("SELECT seq FROM event WHERE seq BETWEEN $1 AND $2", range).await? {
        missing.remove(&row.get("seq")?);
    }
    Ok(missing)
}

/// Indexes rows as [`COLUMNS`] has them, of which a backup has no index.
pub(crate) async fn index(connection: &mut Connection, rows: &[Vec<Value>]) -> Result<()> {
    let mut blocks: BTreeMap<i64, Block> = BTreeMap::new();
    for row in rows {
        let corrupt = |why: &str| StoreError::Corrupt { what: "event", why: why.to_owned() };
        let [Value::Integer(Some(seq)), .., Value::Text(Some(words)), Value::Text(Some(document))] =
            row.as_slice()
        else {
            return Err(corrupt("a row has other columns"));
        };
        let text = |index: usize| match row.get(index) {
            Some(Value::Text(text)) => text.clone(),
            _ => None,
        };
        let event = serde_json::from_str(document).map_err(|error| corrupt(&error.to_string()))?;
        let terms = terms::of(&event, words, text(WORKLOAD).as_deref(), &text(ENFORCER).unwrap_or_default());
        blocks.entry(seq >> BLOCK_BITS).or_insert_with(Block::empty).add(&event, &terms);
    }
    write_blocks(connection, &KnownTerms { block: -1, terms: HashSet::new() }, &blocks).await?;
    Ok(())
}

/// What a batch adds to a block.
struct Block {
    min_at: i64,
    max_at: i64,
    terms: HashSet<i64>,
}

impl Block {
    fn empty() -> Self {
        Self { min_at: i64::MAX, max_at: i64::MIN, terms: HashSet::new() }
    }

    fn add(&mut self, event: &Event, terms: &[i64]) {
        let at = event.timestamp.as_microsecond();
        self.min_at = self.min_at.min(at);
        self.max_at = self.max_at.max(at);
        self.terms.extend(terms);
    }
}

/// Returns the terms that were added.
async fn write_blocks(
    connection: &mut Connection,
    known: &KnownTerms,
    blocks: &BTreeMap<i64, Block>,
) -> Result<Vec<(i64, i64)>> {
    const BLOCK: &[(&str, Kind)] =
        &[("block", Kind::Integer), ("min_at", Kind::Integer), ("max_at", Kind::Integer)];
    const TERM: &[(&str, Kind)] =
        &[("segment", Kind::Integer), ("term", Kind::Integer), ("blocks", Kind::Integer)];
    let rows = blocks
        .iter()
        .map(|(number, block)| vec![(*number).into(), block.min_at.into(), block.max_at.into()])
        .collect();
    connection
        .insert_many(
            "event_block",
            BLOCK,
            "ON CONFLICT (block) DO UPDATE SET
               min_at = CASE WHEN excluded.min_at < event_block.min_at THEN excluded.min_at ELSE event_block.min_at END,
               max_at = CASE WHEN excluded.max_at > event_block.max_at THEN excluded.max_at ELSE event_block.max_at END",
            rows,
        )
        .await?;
    let fresh: Vec<(i64, i64)> = blocks
        .iter()
        .flat_map(|(number, block)| block.terms.iter().map(|term| (*number, *term)))
        .filter(|(number, term)| *number != known.block || !known.terms.contains(term))
        .collect();
    let mut terms: BTreeMap<(i64, i64), i64> = BTreeMap::new();
    for (block, term) in &fresh {
        *terms.entry((block >> SEGMENT_BITS, *term)).or_default() |= block_bit(*block);
    }
    let rows = terms
        .into_iter()
        .map(|((segment, term), blocks)| vec![segment.into(), term.into(), blocks.into()])
        .collect();
    connection
        .insert_many(
            "event_term",
            TERM,
            "ON CONFLICT (segment, term) DO UPDATE SET blocks = event_term.blocks | excluded.blocks",
            rows,
        )
        .await?;
    Ok(fresh)
}
