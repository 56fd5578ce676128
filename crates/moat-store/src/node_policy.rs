//! The policies of the nodes' own folders, as enforcers report them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::database::{Row, Value, json, word};
use crate::{Change, PolicyState, Result, Store};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodePolicy {
    pub enforcer_id: String,
    pub kind: String,
    pub name: String,
    /// Where it stands on the node.
    pub file: String,
    /// YAML; empty where it is too large to be sent.
    pub document: String,
    /// When the node first had a policy of that name.
    pub first_seen: Timestamp,
    pub state: PolicyState,
    pub reasons: Vec<String>,
    /// How many running containers it selects there.
    pub containers: i64,
}

/// Nodes that have the same policy in the same state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePolicyGroup {
    pub kind: String,
    pub name: String,
    pub document: String,
    pub state: PolicyState,
    pub nodes: i64,
    pub containers: i64,
}

impl Store {
    /// What all nodes have, without naming them: a thousand nodes with one policy are one row.
    pub async fn node_policy_groups(&self) -> Result<Vec<NodePolicyGroup>> {
        let rows = self
            .database
            .fetch(
                "SELECT kind, name, document, state, COUNT(*) AS nodes, CAST(SUM(containers) AS BIGINT) AS containers
                 FROM node_policy GROUP BY kind, name, document, state ORDER BY name, kind, document, state",
                vec![],
            )
            .await?;
        let group = |row: &Row| {
            Ok(NodePolicyGroup {
                kind: row.get("kind")?,
                name: row.get("name")?,
                document: row.get("document")?,
                state: row.word("state")?,
                nodes: row.get("nodes")?,
                containers: row.get("containers")?,
            })
        };
        rows.iter().map(group).collect()
    }

    /// What every node has, with the node's name.
    pub async fn all_node_policies(&self) -> Result<Vec<(String, NodePolicy)>> {
        let query = "SELECT enforcer.node AS node, node_policy.* FROM node_policy
                     JOIN enforcer ON enforcer.id = node_policy.enforcer_id
                     WHERE enforcer.ended IS NULL ORDER BY enforcer_id, kind, name";
        let rows = self.database.fetch(query, vec![]).await?;
        rows.iter().map(|row| Ok((row.get("node")?, policy(row)?))).collect()
    }

    /// The nodes that have a policy of that kind and name.
    pub async fn node_policies_named(&self, kind: &str, name: &str) -> Result<Vec<NodePolicy>> {
        let query = "SELECT * FROM node_policy WHERE kind = $1 AND name = $2 ORDER BY enforcer_id";
        let rows = self.database.fetch(query, vec![kind.into(), name.into()]).await?;
        rows.iter().map(policy).collect()
    }

    /// What one node has.
    pub async fn node_policies_of(&self, enforcer_id: &str) -> Result<Vec<NodePolicy>> {
        let query = "SELECT * FROM node_policy WHERE enforcer_id = $1 ORDER BY name, kind";
        let rows = self.database.fetch(query, vec![enforcer_id.into()]).await?;
        rows.iter().map(policy).collect()
    }

    /// Writes down an enforcer's report. With `full` it names every policy of its folder, and the others are gone;
    /// `removed` are kinds and names.
    pub async fn put_node_policies(
        &self,
        enforcer_id: &str,
        full: bool,
        upserts: &[NodePolicy],
        removed: &[(String, String)],
    ) -> Result<()> {
        let mut connection = self.database.begin().await?;
        if full {
            connection
                .execute("DELETE FROM node_policy WHERE enforcer_id = $1", vec![enforcer_id.into()])
                .await?;
        }
        for (kind, name) in removed {
            connection
                .execute(
                    "DELETE FROM node_policy WHERE enforcer_id = $1 AND kind = $2 AND name = $3",
                    vec![enforcer_id.into(), kind.into(), name.into()],
                )
                .await?;
        }
        for policy in upserts {
            let values: Vec<Value> = vec![
                enforcer_id.into(),
                (&policy.kind).into(),
                (&policy.name).into(),
                (&policy.file).into(),
                (&policy.document).into(),
                policy.first_seen.into(),
                word(&policy.state),
                json(&policy.reasons)?,
                policy.containers.into(),
            ];
            connection
                .execute(
                    "INSERT INTO node_policy (enforcer_id, kind, name, file, document, first_seen, state, reasons, containers)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                     ON CONFLICT (enforcer_id, kind, name) DO UPDATE SET file = excluded.file,
                       document = excluded.document, first_seen = excluded.first_seen, state = excluded.state,
                       reasons = excluded.reasons, containers = excluded.containers",
                    values,
                )
                .await?;
        }
        connection.notify(Change::Enforcers.to_string()).await?;
        connection.commit().await?;
        self.feed.publish(Change::Enforcers);
        Ok(())
    }
}

fn policy(row: &Row) -> Result<NodePolicy> {
    Ok(NodePolicy {
        enforcer_id: row.get("enforcer_id")?,
        kind: row.get("kind")?,
        name: row.get("name")?,
        file: row.get("file")?,
        document: row.get("document")?,
        first_seen: row.time("first_seen")?,
        state: row.word("state")?,
        reasons: row.json("reasons")?,
        containers: row.get("containers")?,
    })
}
