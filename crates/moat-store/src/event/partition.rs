//! PostgreSQL's partitions: one for each day of events, so that old days go at once and leave nothing to clean up.
//!
//! They are made ahead. Events of other days (clocks that are wrong, nodes that were away for long) go to
//! `event_elsewhen`, and move when their day gets a partition.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use sqlx::AssertSqlSafe;

use crate::database::{Connection, Database};
use crate::{Result, StoreError};

/// Held while partitions are made or dropped: one replica at a time. An arbitrary number.
const LOCK: &str = "SELECT pg_advisory_xact_lock(5573616891)::text";

/// Makes the partitions from yesterday to the day after tomorrow.
pub(crate) async fn make_ahead(database: &Database) -> Result<()> {
    if let Database::Sqlite { .. } = database {
        return Ok(());
    }
    let today = day_of(Timestamp::now());
    for days in -1..=2 {
        make(database, today.saturating_add(days.days())).await?;
    }
    Ok(())
}

async fn make(database: &Database, day: Date) -> Result<()> {
    let (name, from, to) = (name(day), start(day)?, start(day.saturating_add(1.day()))?);
    if exists(&mut database.snapshot().await?, &name).await? {
        return Ok(());
    }
    let mut connection = database.begin().await?;
    connection.fetch(LOCK, vec![]).await?;
    if exists(&mut connection, &name).await? {
        return Ok(());
    }
    // The names and numbers below are made here, of a date.
    let statements = [
        "LOCK TABLE event_elsewhen IN ACCESS EXCLUSIVE MODE".to_owned(),
        format!("CREATE TABLE {name} (LIKE event INCLUDING DEFAULTS)"),
        format!(
            "WITH moved AS (DELETE FROM event_elsewhen WHERE at >= {from} AND at < {to} RETURNING *)
             INSERT INTO {name} SELECT * FROM moved"
        ),
        format!("ALTER TABLE event ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"),
    ];
    for statement in statements {
        connection.execute(AssertSqlSafe(statement), vec![]).await?;
    }
    connection.commit().await
}

/// Drops the days that ended before `cutoff`; returns how many events went.
pub(crate) async fn drop_before(database: &Database, cutoff: Timestamp) -> Result<u64> {
    if let Database::Sqlite { .. } = database {
        return Ok(0);
    }
    let rows = database
        .fetch(
            "SELECT relname::text AS name FROM pg_class JOIN pg_inherits ON inhrelid = oid
             WHERE inhparent = 'event'::regclass AND relname ~ '^event_[0-9]{8}$' ORDER BY relname",
            vec![],
        )
        .await?;
    // The day of the cutoff itself still has events to keep.
    let first_kept = name(day_of(cutoff));
    let mut dropped = 0;
    for row in rows {
        let name: String = row.get("name")?;
        if name >= first_kept {
            break;
        }
        let mut connection = database.begin().await?;
        connection.fetch(LOCK, vec![]).await?;
        if !exists(&mut connection, &name).await? {
            continue;
        }
        connection
            .execute(AssertSqlSafe(format!("ALTER TABLE event DETACH PARTITION {name}")), vec![])
            .await?;
        let counts = format!("SELECT event_type, count(*) AS events FROM {name} GROUP BY event_type");
        for row in connection.fetch(AssertSqlSafe(counts), vec![]).await? {
            let events: i64 = row.get("events")?;
            connection
                .execute(
                    "UPDATE event_stored SET events = events - $2 WHERE event_type = $1",
                    vec![row.get::<String>("event_type")?.into(), events.into()],
                )
                .await?;
            dropped += events.unsigned_abs();
        }
        connection.execute(AssertSqlSafe(format!("DROP TABLE {name}")), vec![]).await?;
        connection.commit().await?;
    }
    Ok(dropped)
}

async fn exists(connection: &mut Connection, name: &str) -> Result<bool> {
    let row = connection.fetch_optional("SELECT to_regclass($1)::text AS name", vec![name.into()]).await?;
    row.map_or(Ok(false), |row| Ok(row.get::<Option<String>>("name")?.is_some()))
}

fn day_of(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

fn name(day: Date) -> String {
    format!("event_{:04}{:02}{:02}", day.year(), day.month(), day.day())
}

/// The day's first microsecond.
fn start(day: Date) -> Result<i64> {
    day.to_zoned(TimeZone::UTC)
        .map(|start| start.timestamp().as_microsecond())
        .map_err(|error| StoreError::Invalid(format!("no such day: {error}")))
}
