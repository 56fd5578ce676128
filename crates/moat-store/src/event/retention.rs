//! How long events are kept, and the end of those that were kept long enough.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use moat_event::EventType;
use serde::{Deserialize, Serialize};

use super::{BLOCK_BITS, SEGMENT_BITS, block_bit, partition, terms};
use crate::database::{Connection, Value, now, word};
use crate::{Result, Store};

/// Blocks of one step. Between steps others may write.
const STEP_BLOCKS: i64 = 16;
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Containers that ended are listed for so long.
const ENDED_CONTAINERS: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Statistics outlive the events that they count.
const STATISTICS: SignedDuration = SignedDuration::from_hours(400 * 24);

/// How much is kept of a type of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Keep {
    pub days: u32,
    /// At most this many; the oldest go first.
    pub max_rows: u64,
}

/// How much is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retention {
    /// Of every type that is not named.
    pub default: Keep,
    #[serde(default)]
    pub types: BTreeMap<EventType, Keep>,
}

impl Default for Retention {
    /// Thirty days; ten million events of each type.
    fn default() -> Self {
        Self { default: Keep { days: 30, max_rows: 10_000_000 }, types: BTreeMap::new() }
    }
}

impl Retention {
    fn of(&self, event_type: EventType) -> Keep {
        self.types.get(&event_type).copied().unwrap_or(self.default)
    }

    fn longest_days(&self) -> u32 {
        self.types.values().map(|keep| keep.days).chain([self.default.days]).max().unwrap_or_default()
    }
}

/// What went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Purged {
    pub events: u64,
    pub activities: u64,
    pub containers: u64,
}

fn before(days: u32) -> Timestamp {
    now()
        .saturating_sub(DAY.saturating_mul(i32::try_from(days).unwrap_or(i32::MAX)))
        .unwrap_or(Timestamp::MIN)
}

impl Store {
    /// Lets go what was kept long enough, and makes room for the days to come. To be called every hour or so, by any number
    /// of replicas; it works in small steps, between which others write.
    pub async fn maintain(&self, retention: &Retention) -> Result<Purged> {
        partition::make_ahead(&self.database).await?;
        let mut purged = Purged::default();
        let oldest = before(retention.longest_days());
        purged.events += partition::drop_before(&self.database, oldest).await?;
        for (event_type, stored) in self.stored_events().await? {
            let keep = retention.of(event_type);
            purged.events += self.purge(event_type, Some(before(keep.days)), u64::MAX).await?;
            let left = self.stored_events().await?.get(&event_type).copied().unwrap_or(stored);
            let excess = u64::try_from(left).unwrap_or_default().saturating_sub(keep.max_rows);
            purged.events += self.purge(event_type, None, excess).await?;
        }
        self.forget_empty_blocks().await?;
        let execute = |sql: &'static str, before: Value| self.database.execute(sql, vec![before]);
        purged.activities += execute("DELETE FROM activity WHERE last_seen < $1", oldest.into()).await?;
        let ended = now().saturating_sub(ENDED_CONTAINERS).unwrap_or(Timestamp::MIN);
        purged.containers += execute("DELETE FROM container WHERE ended_at < $1", ended.into()).await?;
        let statistics = now().saturating_sub(STATISTICS).unwrap_or(Timestamp::MIN).as_microsecond();
        execute("DELETE FROM event_count WHERE minute < $1", statistics.div_euclid(60_000_000).into())
            .await?;
        execute("DELETE FROM event_top WHERE hour < $1", statistics.div_euclid(3_600_000_000).into()).await?;
        self.purge_sessions().await?;
        Ok(purged)
    }

    /// Deletes events of a type, oldest blocks first, until those from before `cutoff` are gone, or `most` in whole blocks.
    async fn purge(&self, event_type: EventType, cutoff: Option<Timestamp>, most: u64) -> Result<u64> {
        let mut purged = 0;
        let mut after = -1;
        while purged < most {
            let mut connection = self.database.begin().await?;
            let term = terms::type_term(event_type);
            let rows = connection
                .fetch(
                    "SELECT block, min_at, max_at FROM event_block
                     WHERE block > $1 AND min_at < $2 AND EXISTS (
                       SELECT 1 FROM event_term WHERE segment = block >> 6 AND term = $3
                         AND (blocks >> CAST(block & 63 AS INTEGER)) & 1 = 1)
                     ORDER BY block LIMIT $4",
                    vec![
                        after.into(),
                        cutoff.map_or(i64::MAX, Timestamp::as_microsecond).into(),
                        term.into(),
                        STEP_BLOCKS.into(),
                    ],
                )
                .await?;
            if rows.is_empty() {
                break;
            }
            let mut deleted = 0;
            for row in &rows {
                if purged + deleted >= most {
                    break;
                }
                after = row.get("block")?;
                let times = (row.get("min_at")?, row.get("max_at")?);
                deleted += purge_block(&mut connection, event_type, after, times, cutoff).await?;
            }
            connection
                .execute(
                    "UPDATE event_stored SET events = events - $2 WHERE event_type = $1",
                    vec![word(&event_type), (deleted as i64).into()],
                )
                .await?;
            connection.commit().await?;
            purged += deleted;
        }
        Ok(purged)
    }

    /// Forgets what the index says of blocks in which no event is left. The newest block stays: it is being written.
    async fn forget_empty_blocks(&self) -> Result<()> {
        let newest = self.newest_event().await? >> BLOCK_BITS;
        let mut after = -1;
        loop {
            let mut connection = self.database.begin().await?;
            let blocks = connection
                .fetch(
                    "SELECT block FROM event_block WHERE block > $1 AND block < $2
                       AND NOT EXISTS (SELECT 1 FROM event WHERE seq >= block * 512 AND seq < block * 512 + 512)
                     ORDER BY block LIMIT $3",
                    vec![after.into(), newest.into(), STEP_BLOCKS.into()],
                )
                .await?;
            if blocks.is_empty() {
                return Ok(());
            }
            let mut segments = BTreeSet::new();
            for row in blocks {
                after = row.get("block")?;
                segments.insert(after >> SEGMENT_BITS);
                connection.execute("DELETE FROM event_block WHERE block = $1", vec![after.into()]).await?;
            }
            for segment in segments {
                connection
                    .execute(
                        "DELETE FROM event_term WHERE segment = $1
                           AND NOT EXISTS (SELECT 1 FROM event_block WHERE block >= $1 * 64 AND block < $1 * 64 + 64)",
                        vec![segment.into()],
                    )
                    .await?;
            }
            connection.commit().await?;
        }
    }
}

/// Deletes a type's events of a block; its term goes with the last of them.
async fn purge_block(
    connection: &mut Connection,
    event_type: EventType,
    block: i64,
    (min_at, max_at): (i64, i64),
    cutoff: Option<Timestamp>,
) -> Result<u64> {
    let first = block << BLOCK_BITS;
    let end = cutoff.map_or(i64::MAX, Timestamp::as_microsecond).min(max_at.saturating_add(1));
    let deleted = connection
        .execute(
            "DELETE FROM event WHERE seq >= $1 AND seq < $2 AND at >= $3 AND at < $4 AND event_type = $5",
            vec![
                first.into(),
                (first + (1 << BLOCK_BITS)).into(),
                min_at.into(),
                end.into(),
                word(&event_type),
            ],
        )
        .await?;
    if end > max_at {
        connection
            .execute(
                "UPDATE event_term SET blocks = blocks & $3 WHERE segment = $1 AND term = $2
                   AND $4 < (SELECT value / 512 FROM counter WHERE name = 'event')",
                vec![
                    (block >> SEGMENT_BITS).into(),
                    terms::type_term(event_type).into(),
                    (!block_bit(block)).into(),
                    block.into(),
                ],
            )
            .await?;
    }
    Ok(deleted)
}
