//! The containers that enforcers see, as the last report had them.

use jiff::Timestamp;
use moat_event::Workload;
use serde::{Deserialize, Serialize};

use crate::database::{Row, Value, json, now, word};
use crate::{Change, Result, Store};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    pub enforcer_id: String,
    pub container_id: String,
    pub workload: Workload,
    /// Names of the policies that select it.
    pub policies: Vec<String>,
    pub rules: i64,
    /// Why its rules are not all in force.
    pub problem: Option<String>,
    pub protection: Protection,
    pub started_at: Option<Timestamp>,
    pub seen_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protection {
    Protected,
    Audit,
    Unprotected,
}

/// Which containers to list; absent fields match all.
#[derive(Debug, Clone, Default)]
pub struct ContainerFilter {
    pub enforcer_id: Option<String>,
    pub namespace: Option<String>,
    pub kind: Option<String>,
    pub name: Option<String>,
    /// Also those that have ended.
    pub ended: bool,
}

impl Store {
    pub async fn containers(&self, filter: &ContainerFilter) -> Result<Vec<Container>> {
        let rows = self
            .database
            .fetch(
                "SELECT * FROM container WHERE ($1 IS NULL OR enforcer_id = $1) AND ($2 IS NULL OR namespace = $2)
                   AND ($3 IS NULL OR kind = $3) AND ($4 IS NULL OR name = $4) AND ($5 = 1 OR ended_at IS NULL)
                 ORDER BY namespace, kind, name, container_id",
                vec![
                    (&filter.enforcer_id).into(),
                    (&filter.namespace).into(),
                    (&filter.kind).into(),
                    (&filter.name).into(),
                    filter.ended.into(),
                ],
            )
            .await?;
        rows.iter().map(container).collect()
    }

    /// Writes down an enforcer's report. With `full` it names every container that runs there, and the others have ended.
    pub async fn put_containers(
        &self,
        enforcer_id: &str,
        full: bool,
        upserts: &[Container],
        ended: &[String],
    ) -> Result<()> {
        let mut connection = self.database.begin().await?;
        let at = now();
        if full {
            connection
                .execute(
                    "UPDATE container SET ended_at = $2 WHERE enforcer_id = $1 AND ended_at IS NULL",
                    vec![enforcer_id.into(), at.into()],
                )
                .await?;
        }
        for id in ended {
            connection
                .execute(
                    "UPDATE container SET ended_at = $3 WHERE enforcer_id = $1 AND container_id = $2 AND ended_at IS NULL",
                    vec![enforcer_id.into(), id.into(), at.into()],
                )
                .await?;
        }
        for container in upserts {
            let values: Vec<Value> = vec![
                enforcer_id.into(),
                (&container.container_id).into(),
                (&container.workload.namespace).into(),
                (&container.workload.kind).into(),
                (&container.workload.name).into(),
                json(&container.workload)?,
                json(&container.policies)?,
                container.rules.into(),
                (&container.problem).into(),
                word(&container.protection),
                container.started_at.into(),
                at.into(),
            ];
            connection
                .execute(
                    "INSERT INTO container (enforcer_id, container_id, namespace, kind, name, workload, policies, rules,
                       problem, protection, started_at, seen_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                     ON CONFLICT (enforcer_id, container_id) DO UPDATE SET namespace = excluded.namespace,
                       kind = excluded.kind, name = excluded.name, workload = excluded.workload,
                       policies = excluded.policies, rules = excluded.rules, problem = excluded.problem,
                       protection = excluded.protection, started_at = COALESCE(excluded.started_at, container.started_at),
                       seen_at = excluded.seen_at, ended_at = NULL",
                    values,
                )
                .await?;
        }
        connection.notify(Change::Containers.to_string()).await?;
        connection.commit().await?;
        self.feed.publish(Change::Containers);
        Ok(())
    }
}

fn container(row: &Row) -> Result<Container> {
    Ok(Container {
        enforcer_id: row.get("enforcer_id")?,
        container_id: row.get("container_id")?,
        workload: row.json("workload")?,
        policies: row.json("policies")?,
        rules: row.get("rules")?,
        problem: row.get("problem")?,
        protection: row.word("protection")?,
        started_at: row.optional_time("started_at")?,
        seen_at: row.time("seen_at")?,
        ended_at: row.optional_time("ended_at")?,
    })
}
