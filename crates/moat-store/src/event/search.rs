//! Finding events, newest first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use moat_event::Severity;
use serde::Serialize;
use sqlx::AssertSqlSafe;

use super::terms::{self, Field, term};
use super::{BLOCK_BITS, EventFilter, SEGMENT_BITS, StoredEvent, block_bit, stored};
use crate::database::{Value, word};
use crate::{Result, Store, StoreError};

/// Blocks that one search reads, unless it could not go on from where it stopped: what bounds the time it takes.
const MOST_BLOCKS: usize = 128;
/// And so many if it took this long for them.
const FEWEST_BLOCKS: usize = 32;
const LONG: Duration = Duration::from_millis(150);
/// Blocks that are read at once.
const GROUP: usize = 16;
/// Segments that are looked up at once, at most.
const MOST_SEGMENTS: usize = 64;
pub const MAX_PAGE: usize = 1000;

/// Where a page ended: the next one has the events before it. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    at: i64,
    seq: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{:x}", self.at, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text| i64::from_str_radix(text, 16).ok();
        text.split_once('.')
            .and_then(|(at, seq)| Some(Self { at: number(at)?, seq: number(seq)? }))
            .ok_or_else(|| StoreError::Invalid("the cursor is not one that the console gave out".into()))
    }
}

impl From<&StoredEvent> for Cursor {
    fn from(event: &StoredEvent) -> Self {
        Self { at: event.event.timestamp.as_microsecond(), seq: event.seq }
    }
}

/// Some of the events that were asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPage {
    pub events: Vec<StoredEvent>,
    /// Where the next page begins; `None` if there is nothing more. A page may have fewer events than asked for, even none,
    /// and more may follow: a search that finds little stops after a bounded time, and says how far it came.
    #[serde(skip)]
    pub next: Option<Cursor>,
    /// Everything from here on was searched.
    pub searched_to: Option<Timestamp>,
}

/// A block that may hold what is searched for.
struct Candidate {
    block: i64,
    max_at: i64,
}

/// A segment that was not yet looked into.
struct Segment {
    segment: i64,
    max_at: i64,
}

impl Store {
    /// Events that match, newest first, beginning after `cursor`.
    pub async fn search_events(
        &self,
        filter: &EventFilter,
        cursor: Option<Cursor>,
        limit: usize,
    ) -> Result<EventPage> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut search = Search::new(self, filter, cursor, limit);
        search.run().await
    }
}

struct Search<'a> {
    store: &'a Store,
    /// Of each inner list one term must occur.
    clauses: Vec<Vec<i64>>,
    conditions: Conditions,
    from: i64,
    /// Only events that are less.
    before: Cursor,
    limit: usize,
    /// Newest first, as are the segments.
    segments: VecDeque<Segment>,
    candidates: VecDeque<Candidate>,
    found: Vec<StoredEvent>,
}

impl<'a> Search<'a> {
    fn new(store: &'a Store, filter: &EventFilter, cursor: Option<Cursor>, limit: usize) -> Self {
        let end = Cursor { at: filter.to.map_or(i64::MAX, Timestamp::as_microsecond), seq: i64::MIN };
        Self {
            store,
            clauses: clauses(filter),
            conditions: Conditions::new(filter),
            from: filter.from.map_or(i64::MIN, Timestamp::as_microsecond),
            before: cursor.map_or(end, |cursor| cursor.min(end)),
            limit,
            segments: VecDeque::new(),
            candidates: VecDeque::new(),
            found: vec![],
        }
    }

    async fn run(&mut self) -> Result<EventPage> {
        let began = Instant::now();
        let mut read = 0;
        let mut group = 1;
        let mut segments = 1;
        self.list_segments().await?;
        loop {
            // No segment may hide a block that is newer than the next one.
            while let Some(next) = self.segments.front()
                && self.candidates.front().is_none_or(|first| first.max_at < next.max_at)
            {
                self.look_up(segments).await?;
                segments = (segments * 4).min(MOST_SEGMENTS);
            }
            let blocks: Vec<_> = (0..group).map_while(|_| self.candidates.pop_front()).collect();
            read += blocks.len();
            self.read(blocks).await?;
            // What is left has nothing newer than this.
            let left = [
                self.candidates.front().map(|next| next.max_at),
                self.segments.front().map(|next| next.max_at),
            ];
            let Some(bound) = left.into_iter().flatten().max() else {
                return Ok(self.page(None));
            };
            let certain = self.found.partition_point(|event| Cursor::from(event).at > bound);
            if certain >= self.limit {
                return Ok(self.page(None));
            }
            let progress = certain > 0 || bound < self.before.at.saturating_sub(1);
            let enough = read >= MOST_BLOCKS || read >= FEWEST_BLOCKS && began.elapsed() >= LONG;
            if enough && progress {
                self.found.truncate(certain);
                return Ok(self.page(Some(bound)));
            }
            group = (group * 2).min(GROUP);
        }
    }

    /// The page, complete or up to the time `stopped_at`.
    fn page(&mut self, stopped_at: Option<i64>) -> EventPage {
        let mut events = std::mem::take(&mut self.found);
        let more = events.len() > self.limit || !self.candidates.is_empty() || !self.segments.is_empty();
        events.truncate(self.limit);
        let full = events.len() == self.limit && more;
        let next = match (stopped_at, events.last()) {
            (_, Some(last)) if full => Some(Cursor::from(last)),
            (Some(at), _) => Some(Cursor { at, seq: i64::MAX }),
            _ => None,
        };
        let searched_to = next.and_then(|next| Timestamp::from_microsecond(next.at).ok());
        EventPage { events, next, searched_to }
    }

    async fn list_segments(&mut self) -> Result<()> {
        let sql = "SELECT block >> 6 AS segment, max(max_at) AS max_at FROM event_block
                   WHERE max_at >= $1 AND min_at <= $2 GROUP BY block >> 6 ORDER BY 2 DESC, 1 DESC";
        let values = vec![self.from.into(), self.before.at.into()];
        for row in self.store.database.fetch(sql, values).await? {
            self.segments.push_back(Segment { segment: row.get("segment")?, max_at: row.get("max_at")? });
        }
        Ok(())
    }

    /// Looks up the blocks of the next segments that may hold what is searched for.
    async fn look_up(&mut self, segments: usize) -> Result<()> {
        let segments = self.segments.drain(..segments.min(self.segments.len()));
        let segments: Vec<i64> = segments.map(|segment| segment.segment).collect();
        let holding = self.holding(&segments).await?;
        let mut values: Vec<Value> = vec![self.from.into(), self.before.at.into()];
        let held = holding.iter().filter(|(_, blocks)| **blocks != 0).map(|(segment, _)| *segment);
        let spans: Vec<_> = ranges(held)
            .into_iter()
            .map(|range| {
                values.extend([range.start << SEGMENT_BITS, range.end << SEGMENT_BITS].map(Value::from));
                format!("(block >= ${} AND block < ${})", values.len() - 1, values.len())
            })
            .collect();
        if spans.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT block, max_at FROM event_block WHERE max_at >= $1 AND min_at <= $2 AND ({})",
            spans.join(" OR ")
        );
        for row in self.store.database.fetch(AssertSqlSafe(sql), values).await? {
            let (block, max_at) = (row.get("block")?, row.get("max_at")?);
            if holding.get(&(block >> SEGMENT_BITS)).is_some_and(|blocks| blocks & block_bit(block) != 0) {
                self.candidates.push_back(Candidate { block, max_at });
            }
        }
        self.candidates
            .make_contiguous()
            .sort_unstable_by_key(|candidate| Reverse((candidate.max_at, candidate.block)));
        Ok(())
    }

    /// Which blocks of these segments have a term of each clause.
    async fn holding(&self, segments: &[i64]) -> Result<BTreeMap<i64, i64>> {
        let mut holding: BTreeMap<i64, i64> = segments.iter().map(|segment| (*segment, !0)).collect();
        if self.clauses.is_empty() {
            return Ok(holding);
        }
        let mut values = vec![];
        let numbers = places(&mut values, segments.iter().map(|segment| Value::from(*segment)));
        let terms = places(&mut values, self.clauses.iter().flatten().map(|term| Value::from(*term)));
        let sql = format!(
            "SELECT segment, term, blocks FROM event_term WHERE segment IN ({numbers}) AND term IN ({terms})"
        );
        let mut found: HashMap<(i64, i64), i64> = HashMap::new();
        for row in self.store.database.fetch(AssertSqlSafe(sql), values).await? {
            found.insert((row.get("segment")?, row.get("term")?), row.get("blocks")?);
        }
        for (segment, blocks) in &mut holding {
            for clause in &self.clauses {
                let terms = clause.iter().filter_map(|term| found.get(&(*segment, *term)));
                *blocks &= terms.fold(0, |all, blocks| all | blocks);
            }
        }
        Ok(holding)
    }

    /// Adds what matches in these blocks to what was found.
    async fn read(&mut self, mut blocks: Vec<Candidate>) -> Result<()> {
        blocks.sort_by_key(|candidate| candidate.block);
        for range in ranges(blocks.into_iter().map(|candidate| candidate.block)) {
            let mut values: Vec<Value> = vec![
                (range.start << BLOCK_BITS).into(),
                (range.end << BLOCK_BITS).into(),
                self.from.into(),
                self.before.at.into(),
                self.before.seq.into(),
            ];
            values.extend(self.conditions.values.iter().cloned());
            let sql = format!(
                "SELECT seq, enforcer_id, workload, document FROM event WHERE seq >= $1 AND seq < $2 AND at >= $3 AND at <= $4 AND (at < $4 OR seq < $5){}
                 ORDER BY at DESC, seq DESC LIMIT {}",
                self.conditions.sql,
                self.limit + 1
            );
            for row in self.store.database.fetch(AssertSqlSafe(sql), values).await? {
                self.found.push(stored(&row)?);
            }
        }
        self.found.sort_by_key(|event| Reverse(Cursor::from(event)));
        self.found.truncate(self.limit + 1);
        Ok(())
    }
}

/// Ascending numbers as ranges of such that follow each other.
fn ranges(numbers: impl Iterator<Item = i64>) -> Vec<Range<i64>> {
    let mut ranges: Vec<Range<i64>> = vec![];
    for number in numbers {
        match ranges.last_mut() {
            Some(range) if range.end == number => range.end += 1,
            _ => ranges.push(number..number + 1),
        }
    }
    ranges
}

/// What the filter says of single rows; values begin with `$6`.
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

/// Values of a search's rows that come before those of the filter.
const FIRST_CONDITION: usize = 5;

impl Conditions {
    fn new(filter: &EventFilter) -> Self {
        let mut conditions = Self { sql: String::new(), values: vec![] };
        conditions.one_of("event_type", filter.types.iter().map(word));
        conditions.one_of("action", filter.actions.iter().map(word));
        for (column, _, values) in fields(filter) {
            conditions.one_of(column, values.iter().map(Value::from));
        }
        if let Some(least) = filter.severity.filter(|least| *least > Severity::Info) {
            conditions.add("severity >=", (least as i64).into());
        }
        for phrase in terms::phrases(&filter.text) {
            // Phrases are letters, digits and spaces: nothing in them means something to LIKE.
            conditions.add("words LIKE", format!("%{phrase}%").into());
        }
        conditions
    }

    fn add(&mut self, comparison: &str, value: Value) {
        self.values.push(value);
        let _ = write!(self.sql, " AND {comparison} ${}", FIRST_CONDITION + self.values.len());
    }

    fn one_of(&mut self, column: &str, values: impl Iterator<Item = Value>) {
        let first = self.values.len();
        self.values.extend(values);
        let places: Vec<_> =
            (first..self.values.len()).map(|index| format!("${}", FIRST_CONDITION + index + 1)).collect();
        if !places.is_empty() {
            let _ = write!(self.sql, " AND {column} IN ({})", places.join(", "));
        }
    }
}

fn fields(filter: &EventFilter) -> [(&'static str, Field, &[String]); 8] {
    [
        ("namespace", Field::Namespace, &filter.namespaces),
        ("pod", Field::Pod, &filter.pods),
        ("container", Field::Container, &filter.containers),
        ("workload", Field::Workload, &filter.workloads),
        ("policy", Field::Policy, &filter.policies),
        ("rule", Field::Rule, &filter.rules),
        ("node", Field::Node, &filter.nodes),
        ("enforcer_id", Field::Enforcer, &filter.enforcers),
    ]
}

fn clauses(filter: &EventFilter) -> Vec<Vec<i64>> {
    let mut clauses = vec![
        filter.types.iter().map(|event_type| terms::type_term(*event_type)).collect(),
        filter.actions.iter().map(|action| terms::action_term(*action)).collect(),
    ];
    clauses.extend(
        fields(filter).map(|(_, field, values)| values.iter().map(|value| term(field, value)).collect()),
    );
    if let Some(least) = filter.severity.filter(|least| *least > Severity::Info) {
        let severities = Severity::ALL.into_iter().filter(|severity| *severity >= least);
        clauses.push(severities.map(terms::severity_term).collect());
    }
    for phrase in terms::phrases(&filter.text) {
        clauses.extend(terms::phrase_terms(&phrase).into_iter().map(|term| vec![term]));
    }
    clauses.retain(|clause: &Vec<i64>| !clause.is_empty());
    clauses
}

/// Adds values and returns their placeholders.
fn places(values: &mut Vec<Value>, more: impl Iterator<Item = Value>) -> String {
    let first = values.len();
    values.extend(more);
    (first..values.len()).map(|index| format!("${}", index + 1)).collect::<Vec<_>>().join(", ")
}
