//! Writing events: one task takes what all sessions bring and commits it in groups, so that a thousand small batches cost
//! a few commits.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use moat_event::Event;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::statistics::{self, Counts};
use super::terms::{self, Field, term};
use super::{BLOCK_BITS, NewEvent, id_bytes};
use crate::database::{Connection, Database, Kind, Value, word};
use crate::watch::Feed;
use crate::{Change, Result, Store, StoreError};

/// Batches that wait for the writer; who brings more waits.
const WAITING_BATCHES: usize = 64;
/// Events of one commit, unless a single batch has more.
const GROUP_EVENTS: usize = 4096;

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
    pub async fn insert_events(&self, events: Vec<NewEvent>) -> Result<Inserted> {
        let (reply, answer) = oneshot::channel();
        let gone = || StoreError::Unavailable("the store is closed".into());
        self.events.batches.send(Batch { events, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Writer {
    batches: mpsc::Sender<Batch>,
}

#[derive(Debug)]
struct Batch {
    events: Vec<NewEvent>,
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
struct Prepared {
    batch: usize,
    id: Vec<u8>,
    workload: Option<String>,
    enforcer_id: String,
    words: String,
    document: String,
    event: Event,
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
    batches: Vec<Vec<NewEvent>>,
) -> Result<Vec<Inserted>> {
    let mut inserted = vec![Inserted::default(); batches.len()];
    let mut prepared = vec![];
    for (batch, (events, result)) in batches.into_iter().zip(&mut inserted).enumerate() {
        for new in events {
            match prepare(batch, new) {
                Some(event) => prepared.push(event),
                None => result.refused += 1,
            }
        }
    }
    if prepared.is_empty() {
        return Ok(inserted);
    }
    let mut connection = database.begin().await?;
    // Locks the order of events until the commit: who sees a number sees all before it. Events that turn out to be known
    // leave their numbers unused.
    let last = connection.raise("event", prepared.len() as i64).await?;
    let first = last - prepared.len() as i64 + 1;
    let rows = (first..).zip(&prepared).map(|(seq, event)| row(seq, event)).collect();
    let returned = connection
        .insert_many("event", COLUMNS, "ON CONFLICT (id, at) DO NOTHING RETURNING seq", rows)
        .await?;
    let mut new = vec![false; prepared.len()];
    for row in &returned {
        let index = usize::try_from(row.get::<i64>("seq")? - first).ok();
        if let Some(new) = index.and_then(|index| new.get_mut(index)) {
            *new = true;
        }
    }
    let mut blocks: BTreeMap<i64, Block> = BTreeMap::new();
    let mut counts = Counts::default();
    for ((seq, event), new) in (first..).zip(&prepared).zip(new) {
        let Some(result) = inserted.get_mut(event.batch) else { continue };
        if new {
            result.stored += 1;
            blocks.entry(seq >> BLOCK_BITS).or_insert_with(Block::empty).add(
                &event.event,
                &event.words,
                event.workload.as_deref(),
                &event.enforcer_id,
            );
            counts.add(&event.event, event.workload.as_deref());
        } else {
            result.known += 1;
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

fn prepare(batch: usize, new: NewEvent) -> Option<Prepared> {
    let NewEvent { enforcer_id, workload, event } = new;
    Some(Prepared {
        batch,
        id: id_bytes(&event.id)?,
        words: terms::words(&event, workload.as_deref()),
        document: serde_json::to_string(&event).ok()?,
        enforcer_id,
        workload,
        event,
    })
}

fn row(seq: i64, prepared: &Prepared) -> Vec<Value> {
    let event = &prepared.event;
    vec![
        seq.into(),
        prepared.id.as_slice().into(),
        event.timestamp.into(),
        (&prepared.enforcer_id).into(),
        word(&event.event_type),
        word(&event.action),
        (event.severity as i64).into(),
        (&event.namespace).into(),
        (&event.pod_name).into(),
        (&event.container_name).into(),
        (&prepared.workload).into(),
        (&event.policy_name).into(),
        (&event.rule).into(),
        (&event.node).into(),
        (&prepared.words).into(),
        (&prepared.document).into(),
    ]
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
        blocks.entry(seq >> BLOCK_BITS).or_insert_with(Block::empty).add(
            &event,
            words,
            text(WORKLOAD).as_deref(),
            &text(ENFORCER).unwrap_or_default(),
        );
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

    fn add(&mut self, event: &Event, words: &str, workload: Option<&str>, enforcer_id: &str) {
        let at = event.timestamp.as_microsecond();
        self.min_at = self.min_at.min(at);
        self.max_at = self.max_at.max(at);
        self.terms.extend(terms::word_terms(words));
        self.terms.insert(terms::severity_term(event.severity));
        self.terms.insert(terms::type_term(event.event_type));
        self.terms.insert(terms::action_term(event.action));
        let fields = [
            (Field::Namespace, event.namespace.as_deref()),
            (Field::Pod, event.pod_name.as_deref()),
            (Field::Container, event.container_name.as_deref()),
            (Field::Workload, workload),
            (Field::Policy, event.policy_name.as_deref()),
            (Field::Rule, event.rule.as_deref()),
            (Field::Node, Some(event.node.as_str())),
            (Field::Enforcer, Some(enforcer_id)),
        ];
        self.terms.extend(fields.into_iter().filter_map(|(field, value)| Some(term(field, value?))));
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
    const TERM: &[(&str, Kind)] = &[("term", Kind::Integer), ("block", Kind::Integer)];
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
    let mut fresh: Vec<(i64, i64)> = blocks
        .iter()
        .flat_map(|(number, block)| block.terms.iter().map(|term| (*number, *term)))
        .filter(|(number, term)| *number != known.block || !known.terms.contains(term))
        .collect();
    fresh.sort_unstable_by_key(|(block, term)| (*term, *block));
    let rows = fresh.iter().map(|(block, term)| vec![(*term).into(), (*block).into()]).collect();
    connection.insert_many("event_term", TERM, "ON CONFLICT (term, block) DO NOTHING", rows).await?;
    Ok(fresh)
}
