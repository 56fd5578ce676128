//! Counts of events, kept while they are written, so that a chart of a month reads a few thousand rows.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use moat_event::{Event, EventAction, EventType, Severity};
use serde::{Deserialize, Serialize};

use crate::database::{Connection, Kind, word};
use crate::{Result, Store, StoreError};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

/// How many events of a sort there were in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    pub start: Timestamp,
    pub event_type: EventType,
    pub severity: Severity,
    pub action: EventAction,
    pub events: i64,
    /// As many as the events stand for: those that were aggregated count for each.
    pub happenings: i64,
}

/// What offenders are listed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TopSubject {
    Policy,
    Workload,
    Executable,
    Node,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Top {
    pub name: String,
    pub events: i64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    stored: BTreeMap<EventType, i64>,
    by_minute: BTreeMap<(i64, EventType, Severity, EventAction), (i64, i64)>,
    by_hour: BTreeMap<(i64, TopSubject, String), i64>,
}

impl Counts {
    pub fn add(&mut self, event: &Event, workload: Option<&str>) {
        let at = event.timestamp.as_microsecond();
        *self.stored.entry(event.event_type).or_default() += 1;
        let key = (at.div_euclid(MINUTE), event.event_type, event.severity, event.action);
        let count = self.by_minute.entry(key).or_default();
        count.0 += 1;
        count.1 = count.1.saturating_add(i64::try_from(event.count).unwrap_or(i64::MAX));
        let pod = || Some(format!("{}/Pod/{}", event.namespace.as_ref()?, event.pod_name.as_ref()?));
        let tops = [
            (TopSubject::Policy, event.policy_name.clone()),
            (TopSubject::Workload, workload.map(str::to_owned).or_else(pod)),
            (TopSubject::Executable, event.process.as_ref().map(|process| process.executable.clone())),
            (TopSubject::Node, Some(event.node.clone())),
        ];
        for (subject, name) in tops {
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            *self.by_hour.entry((at.div_euclid(HOUR), subject, name)).or_default() += 1;
        }
    }
}

pub(super) async fn add(connection: &mut Connection, counts: Counts) -> Result<()> {
    const STORED: &[(&str, Kind)] = &[("event_type", Kind::Text), ("events", Kind::Integer)];
    const COUNT: &[(&str, Kind)] = &[
        ("minute", Kind::Integer),
        ("event_type", Kind::Text),
        ("severity", Kind::Integer),
        ("action", Kind::Text),
        ("events", Kind::Integer),
        ("happenings", Kind::Integer),
    ];
    const TOP: &[(&str, Kind)] =
        &[("hour", Kind::Integer), ("subject", Kind::Text), ("name", Kind::Text), ("events", Kind::Integer)];
    let stored = counts.stored.iter().map(|(event_type, events)| vec![word(event_type), (*events).into()]);
    connection
        .insert_many(
            "event_stored",
            STORED,
            "ON CONFLICT (event_type) DO UPDATE SET events = event_stored.events + excluded.events",
            stored.collect(),
        )
        .await?;
    let by_minute =
        counts.by_minute.iter().map(|((minute, event_type, severity, action), (events, happenings))| {
            vec![
                (*minute).into(),
                word(event_type),
                (*severity as i64).into(),
                word(action),
                (*events).into(),
                (*happenings).into(),
            ]
        });
    connection
        .insert_many(
            "event_count",
            COUNT,
            "ON CONFLICT (minute, event_type, severity, action) DO UPDATE SET
               events = event_count.events + excluded.events, happenings = event_count.happenings + excluded.happenings",
            by_minute.collect(),
        )
        .await?;
    let by_hour = counts
        .by_hour
        .into_iter()
        .map(|((hour, subject, name), events)| vec![hour.into(), word(&subject), name.into(), events.into()]);
    connection
        .insert_many(
            "event_top",
            TOP,
            "ON CONFLICT (hour, subject, name) DO UPDATE SET events = event_top.events + excluded.events",
            by_hour.collect(),
        )
        .await?;
    Ok(())
}

impl Store {
    /// How many events there were between two times, in spans of `width` (whole minutes), in order of time.
    pub async fn event_statistics(
        &self,
        from: Timestamp,
        to: Timestamp,
        width: Duration,
    ) -> Result<Vec<Bucket>> {
        let width = i64::try_from(width.as_secs() / 60).unwrap_or(i64::MAX).clamp(1, 1_000_000);
        let rows = self
            .database
            .fetch(
                "SELECT minute / $3 * $3 AS start, event_type, severity, action,
                   CAST(sum(events) AS BIGINT) AS events, CAST(sum(happenings) AS BIGINT) AS happenings
                 FROM event_count WHERE minute >= $1 AND minute < $2
                 GROUP BY minute / $3 * $3, event_type, severity, action ORDER BY 1, event_type, severity, action",
                vec![
                    from.as_microsecond().div_euclid(MINUTE).into(),
                    ceiling(to, MINUTE).into(),
                    width.into(),
                ],
            )
            .await?;
        rows.iter()
            .map(|row| {
                let severity = row.get::<i64>("severity")?;
                Ok(Bucket {
                    start: Timestamp::from_microsecond(row.get::<i64>("start")? * MINUTE)
                        .map_err(|error| StoreError::Corrupt { what: "minute", why: error.to_string() })?,
                    event_type: row.word("event_type")?,
                    severity: *usize::try_from(severity)
                        .ok()
                        .and_then(|severity| Severity::ALL.get(severity))
                        .ok_or_else(|| StoreError::Corrupt { what: "severity", why: severity.to_string() })?,
                    action: row.word("action")?,
                    events: row.get("events")?,
                    happenings: row.get("happenings")?,
                })
            })
            .collect()
    }

    /// Who appears in the most events between two times, to the hour.
    pub async fn event_top(
        &self,
        subject: TopSubject,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Top>> {
        let rows = self
            .database
            .fetch(
                "SELECT name, CAST(sum(events) AS BIGINT) AS events FROM event_top
                 WHERE hour >= $1 AND hour < $2 AND subject = $3 GROUP BY name ORDER BY 2 DESC, name LIMIT $4",
                vec![
                    from.as_microsecond().div_euclid(HOUR).into(),
                    ceiling(to, HOUR).into(),
                    word(&subject),
                    (limit.clamp(1, 1000) as i64).into(),
                ],
            )
            .await?;
        rows.iter().map(|row| Ok(Top { name: row.get("name")?, events: row.get("events")? })).collect()
    }

    /// How many events of each type are kept.
    pub async fn stored_events(&self) -> Result<BTreeMap<EventType, i64>> {
        let rows = self.database.fetch("SELECT * FROM event_stored", vec![]).await?;
        rows.iter().map(|row| Ok((row.word("event_type")?, row.get("events")?))).collect()
    }
}

/// The number of the first span that does not begin before `time`.
fn ceiling(time: Timestamp, span: i64) -> i64 {
    time.as_microsecond().div_euclid(span) + i64::from(time.as_microsecond().rem_euclid(span) != 0)
}
