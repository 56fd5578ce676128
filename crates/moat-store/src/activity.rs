//! What workloads were seen to do: the inventory that a candidate policy is judged by.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::database::{Kind, Row, Value, word};
use crate::{Result, Store};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Activity {
    pub namespace: String,
    pub workload_kind: String,
    pub workload_name: String,
    pub container: String,
    pub kind: ActivityKind,
    /// A path, or `ADDRESS:PORT/PROTOCOL`.
    pub subject: String,
    /// What else is needed to judge it again; happenings that differ here are kept apart.
    pub detail: serde_json::Value,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub count: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ActivityKind {
    Executed,
    Opened,
    Connected,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewActivity {
    pub namespace: String,
    pub workload_kind: String,
    pub workload_name: String,
    pub container: String,
    pub kind: ActivityKind,
    pub subject: String,
    pub detail: serde_json::Value,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub count: i64,
}

const COLUMNS: &[(&str, Kind)] = &[
    ("namespace", Kind::Text),
    ("workload_kind", Kind::Text),
    ("workload_name", Kind::Text),
    ("container", Kind::Text),
    ("kind", Kind::Text),
    ("digest", Kind::Bytes),
    ("subject", Kind::Text),
    ("detail", Kind::Text),
    ("first_seen", Kind::Integer),
    ("last_seen", Kind::Integer),
    ("count", Kind::Integer),
];

impl Store {
    /// Adds what was seen to the inventory: what is known already is counted.
    pub async fn put_activities(&self, seen: &[NewActivity]) -> Result<()> {
        // Together what is the same, and in one order for all replicas.
        let mut sums: BTreeMap<_, (Timestamp, Timestamp, i64)> = BTreeMap::new();
        for new in seen {
            let key = (
                &new.namespace,
                &new.workload_kind,
                &new.workload_name,
                &new.container,
                new.kind,
                &new.subject,
                new.detail.to_string(),
            );
            let sum = sums.entry(key).or_insert((new.first_seen, new.last_seen, 0));
            *sum = (sum.0.min(new.first_seen), sum.1.max(new.last_seen), sum.2.saturating_add(new.count));
        }
        let rows = sums.into_iter().map(
            |((namespace, workload_kind, workload_name, container, kind, subject, detail), sum)| {
                let digest = Sha256::new()
                    .chain_update((subject.len() as u64).to_le_bytes())
                    .chain_update(subject)
                    .chain_update(&detail)
                    .finalize()
                    .to_vec();
                vec![
                    namespace.into(),
                    workload_kind.into(),
                    workload_name.into(),
                    container.into(),
                    word(&kind),
                    digest.into(),
                    subject.into(),
                    detail.into(),
                    sum.0.into(),
                    sum.1.into(),
                    sum.2.into(),
                ]
            },
        );
        let mut connection = self.database.begin().await?;
        connection
            .insert_many(
                "activity",
                COLUMNS,
                "ON CONFLICT (namespace, workload_kind, workload_name, container, kind, digest) DO UPDATE SET
                   first_seen = CASE WHEN excluded.first_seen < activity.first_seen
                     THEN excluded.first_seen ELSE activity.first_seen END,
                   last_seen = CASE WHEN excluded.last_seen > activity.last_seen
                     THEN excluded.last_seen ELSE activity.last_seen END,
                   count = activity.count + excluded.count",
                rows.collect(),
            )
            .await?;
        connection.commit().await
    }

    /// The inventory of one workload, or of all, since `since`: what was seen last comes first.
    pub async fn activities(
        &self,
        workload: Option<(&str, &str, &str)>,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<Activity>> {
        let limit = Value::from(limit.clamp(1, 1_000_000) as i64);
        let rows = match workload {
            Some((namespace, kind, name)) => {
                self.database
                    .fetch(
                        "SELECT * FROM activity WHERE namespace = $1 AND workload_kind = $2 AND workload_name = $3
                           AND last_seen >= $4 ORDER BY last_seen DESC LIMIT $5",
                        vec![namespace.into(), kind.into(), name.into(), since.into(), limit],
                    )
                    .await?
            }
            None => {
                self.database
                    .fetch(
                        "SELECT * FROM activity WHERE last_seen >= $1 ORDER BY last_seen DESC LIMIT $2",
                        vec![since.into(), limit],
                    )
                    .await?
            }
        };
        rows.iter().map(activity).collect()
    }
}

fn activity(row: &Row) -> Result<Activity> {
    Ok(Activity {
        namespace: row.get("namespace")?,
        workload_kind: row.get("workload_kind")?,
        workload_name: row.get("workload_name")?,
        container: row.get("container")?,
        kind: row.word("kind")?,
        subject: row.get("subject")?,
        detail: row.json("detail")?,
        first_seen: row.time("first_seen")?,
        last_seen: row.time("last_seen")?,
        count: row.get("count")?,
    })
}
