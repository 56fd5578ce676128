//! Counts over time and top lists, in the shape that charts want.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use moat_store::{Store, TopSubject};

use super::types::{Bucket, Statistics, TopBy, TopEntry};
use crate::api::problem::Problem;

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Buckets where the caller does not say how long one is, and the most there are.
const BUCKETS: i64 = 60;
const MAX_BUCKETS: i64 = 2000;
const MINUTE: i64 = 60;

/// The last day, where the caller does not say otherwise.
pub fn range(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(Timestamp, Timestamp), Problem> {
    let to = to.unwrap_or_else(Timestamp::now);
    let from = from.or_else(|| to.checked_sub(DAY).ok()).unwrap_or(Timestamp::MIN);
    if from < to { Ok((from, to)) } else { Err(Problem::bad_request("`from` is not before `to`")) }
}

pub fn default_range() -> Result<(Timestamp, Timestamp), Problem> {
    range(None, None)
}

/// Every bucket of the range, also the empty ones.
pub async fn read(
    store: &Store,
    from: Timestamp,
    to: Timestamp,
    bucket: Option<u64>,
) -> Result<Statistics, Problem> {
    let span = to.as_second() - from.as_second();
    let asked = bucket.map_or(span / BUCKETS, |bucket| i64::try_from(bucket).unwrap_or(i64::MAX));
    let width = asked.clamp(MINUTE, i64::MAX - MINUTE).div_euclid(MINUTE) * MINUTE;
    if span / width > MAX_BUCKETS {
        return Err(Problem::bad_request(format!("more than {MAX_BUCKETS} buckets: take longer ones")));
    }
    let counts = store.event_statistics(from, to, Duration::from_secs(width as u64)).await?;
    let mut buckets: BTreeMap<i64, Bucket> = BTreeMap::new();
    let mut start = from.as_second().div_euclid(width) * width;
    while start < to.as_second() {
        if let Ok(at) = Timestamp::from_second(start) {
            let empty = Bucket { at, total: 0, by_severity: BTreeMap::new(), by_action: BTreeMap::new() };
            buckets.insert(start, empty);
        }
        start += width;
    }
    let mut statistics = Statistics {
        from,
        to,
        bucket_seconds: width as u64,
        total: 0,
        by_severity: BTreeMap::new(),
        by_action: BTreeMap::new(),
        by_type: BTreeMap::new(),
        buckets: Vec::new(),
    };
    for count in counts {
        let happenings = count.happenings;
        statistics.total += happenings;
        *statistics.by_severity.entry(count.severity).or_default() += happenings;
        *statistics.by_action.entry(count.action).or_default() += happenings;
        *statistics.by_type.entry(count.event_type).or_default() += happenings;
        if let Some(bucket) = buckets.get_mut(&count.start.as_second()) {
            bucket.total += happenings;
            *bucket.by_severity.entry(count.severity).or_default() += happenings;
            *bucket.by_action.entry(count.action).or_default() += happenings;
        }
    }
    statistics.buckets = buckets.into_values().collect();
    Ok(statistics)
}

/// What had most events.
pub async fn top(
    store: &Store,
    by: TopBy,
    from: Timestamp,
    to: Timestamp,
    limit: usize,
) -> Result<Vec<TopEntry>, Problem> {
    let subject = match by {
        TopBy::Policy => TopSubject::Policy,
        TopBy::Workload => TopSubject::Workload,
        TopBy::Executable => TopSubject::Executable,
        TopBy::Node => TopSubject::Node,
    };
    let top = store.event_top(subject, from, to, limit).await?;
    Ok(top.into_iter().map(|top| TopEntry { key: top.name, count: top.events }).collect())
}
