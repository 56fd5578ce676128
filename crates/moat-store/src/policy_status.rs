//! How far each policy is on each enforcer.

use serde::{Deserialize, Serialize};

use crate::database::{Kind, Row, Value, json, word};
use crate::{Change, Result, Store};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    pub enforcer_id: String,
    pub policy: String,
    pub revision: i64,
    pub state: PolicyState,
    pub reasons: Vec<String>,
    /// How many running containers it selects there.
    pub containers: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PolicyState {
    Pending,
    Accepted,
    Enforced,
    /// In force, but not held as asked.
    Degraded,
    Refused,
}

impl Store {
    /// Statuses of one policy, or of one enforcer, or all.
    pub async fn policy_statuses(
        &self,
        policy: Option<&str>,
        enforcer_id: Option<&str>,
    ) -> Result<Vec<PolicyStatus>> {
        let text = |text: Option<&str>| Value::from(text.map(str::to_owned));
        let rows = self
            .database
            .fetch(
                "SELECT * FROM policy_status WHERE ($1 IS NULL OR policy = $1) AND ($2 IS NULL OR enforcer_id = $2)
                 ORDER BY policy, enforcer_id",
                vec![text(policy), text(enforcer_id)],
            )
            .await?;
        rows.iter().map(status).collect()
    }

    /// Replaces all that is known of these enforcers' policies by `statuses`. An enforcer that is named without a status has
    /// no policies.
    pub async fn put_policy_statuses(&self, enforcers: &[String], statuses: &[PolicyStatus]) -> Result<()> {
        let mut enforcers: Vec<_> = enforcers.iter().collect();
        enforcers.sort();
        enforcers.dedup();
        let mut connection = self.database.begin().await?;
        for enforcer in &enforcers {
            connection
                .execute("DELETE FROM policy_status WHERE enforcer_id = $1", vec![(*enforcer).into()])
                .await?;
        }
        let mut statuses: Vec<_> =
            statuses.iter().filter(|status| enforcers.contains(&&status.enforcer_id)).collect();
        statuses.sort_by_key(|status| (&status.enforcer_id, &status.policy));
        statuses.dedup_by_key(|status| (&status.enforcer_id, &status.policy));
        let rows = statuses.into_iter().map(row).collect::<Result<_>>()?;
        connection
            .insert_many(
                "policy_status",
                COLUMNS,
                "ON CONFLICT (policy, enforcer_id) DO UPDATE SET revision = excluded.revision,
                   state = excluded.state, reasons = excluded.reasons, containers = excluded.containers",
                rows,
            )
            .await?;
        connection.notify(Change::Enforcers.to_string()).await?;
        connection.commit().await?;
        self.feed.publish(Change::Enforcers);
        Ok(())
    }
}

const COLUMNS: &[(&str, Kind)] = &[
    ("enforcer_id", Kind::Text),
    ("policy", Kind::Text),
    ("revision", Kind::Integer),
    ("state", Kind::Text),
    ("reasons", Kind::Text),
    ("containers", Kind::Integer),
];

fn row(status: &PolicyStatus) -> Result<Vec<Value>> {
    Ok(vec![
        (&status.enforcer_id).into(),
        (&status.policy).into(),
        status.revision.into(),
        word(&status.state),
        json(&status.reasons)?,
        status.containers.into(),
    ])
}

fn status(row: &Row) -> Result<PolicyStatus> {
    Ok(PolicyStatus {
        enforcer_id: row.get("enforcer_id")?,
        policy: row.get("policy")?,
        revision: row.get("revision")?,
        state: row.word("state")?,
        reasons: row.json("reasons")?,
        containers: row.get("containers")?,
    })
}
