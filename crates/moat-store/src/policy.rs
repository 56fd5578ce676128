//! Policies, every revision of them, and the version of the whole set.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Row, Value, word};
use crate::{Change, Result, Store, StoreError, Transaction};

/// A policy as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    pub name: String,
    pub kind: String,
    /// The YAML, as it was written.
    pub document: String,
    pub mode: String,
    pub rules: i64,
    /// 1, 2, 3 …; goes on counting when a deleted policy is created again.
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub updated_by: String,
}

/// What somebody wrote, parsed by the caller.
#[derive(Debug, Clone)]
pub struct NewPolicy {
    pub name: String,
    pub kind: String,
    pub document: String,
    pub mode: String,
    pub rules: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyAction {
    Created,
    Updated,
    RolledBack,
    Deleted,
}

/// One revision of a policy, and how it came to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRevision {
    pub name: String,
    pub revision: i64,
    pub kind: String,
    /// Of a deletion: what was deleted.
    pub document: String,
    pub mode: String,
    pub rules: i64,
    pub action: PolicyAction,
    pub note: String,
    pub by: String,
    pub at: Timestamp,
    /// The version of the whole set that this revision made.
    pub policy_set: i64,
}

/// What leads from one version of the policy set to the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChanges {
    pub set: i64,
    pub upserts: Vec<Policy>,
    pub removed: Vec<String>,
}

impl Store {
    /// All policies, by name.
    pub async fn policies(&self) -> Result<Vec<Policy>> {
        let rows =
            self.database.fetch("SELECT * FROM policy WHERE deleted = 0 ORDER BY name", vec![]).await?;
        rows.iter().map(policy).collect()
    }

    pub async fn policy(&self, name: &str) -> Result<Policy> {
        let row = self
            .database
            .fetch_optional("SELECT * FROM policy WHERE name = $1 AND deleted = 0", vec![name.into()])
            .await?;
        policy(&row.ok_or_else(|| not_found(name))?)
    }

    /// Every revision of a policy, newest first; also of a deleted one.
    pub async fn policy_revisions(&self, name: &str) -> Result<Vec<PolicyRevision>> {
        let rows = self
            .database
            .fetch("SELECT * FROM policy_revision WHERE name = $1 ORDER BY revision DESC", vec![name.into()])
            .await?;
        if rows.is_empty() {
            return Err(not_found(name));
        }
        rows.iter().map(revision).collect()
    }

    pub async fn policy_revision(&self, name: &str, number: i64) -> Result<PolicyRevision> {
        let row = self
            .database
            .fetch_optional(
                "SELECT * FROM policy_revision WHERE name = $1 AND revision = $2",
                vec![name.into(), number.into()],
            )
            .await?;
        revision(&row.ok_or_else(|| StoreError::NotFound {
            what: "revision of the policy",
            name: format!("{name}@{number}"),
        })?)
    }

    /// The version of the whole set of policies: every change of any policy raises it by one. 0 before the first.
    pub async fn policy_set(&self) -> Result<i64> {
        let row = self
            .database
            .fetch_optional("SELECT value FROM counter WHERE name = 'policy_set'", vec![])
            .await?;
        row.map_or(Ok(0), |row| row.get("value"))
    }

    /// What leads an enforcer that holds version `set` to the newest one. From version 0 that is everything.
    pub async fn policy_changes(&self, set: i64) -> Result<PolicyChanges> {
        let mut snapshot = self.database.snapshot().await?;
        let newest =
            snapshot.fetch_optional("SELECT value FROM counter WHERE name = 'policy_set'", vec![]).await?;
        let rows = snapshot
            .fetch(
                "SELECT * FROM policy WHERE name IN (SELECT name FROM policy_revision WHERE policy_set > $1)
                 ORDER BY name",
                vec![set.into()],
            )
            .await?;
        snapshot.commit().await?;
        let mut changes = PolicyChanges {
            set: newest.map_or(Ok(0), |row| row.get("value"))?,
            upserts: vec![],
            removed: vec![],
        };
        for row in &rows {
            if row.flag("deleted")? {
                changes.removed.push(row.get("name")?);
            } else {
                changes.upserts.push(policy(row)?);
            }
        }
        Ok(changes)
    }
}

impl Transaction {
    /// Adds a policy; also one that was deleted before, whose revisions go on counting.
    pub async fn create_policy(&mut self, new: NewPolicy, note: &str) -> Result<Policy> {
        let set = self.next_set().await?;
        let before = self.policy_row(&new.name).await?;
        if before.as_ref().is_some_and(|(_, deleted)| !deleted) {
            return Err(StoreError::Exists { what: "policy", name: new.name });
        }
        let revision = before.map_or(0, |(policy, _)| policy.revision) + 1;
        let policy = self.policy_from(new, revision, self.at);
        self.connection
            .execute(
                "INSERT INTO policy (name, kind, document, mode, rules, revision, created_at, updated_at, updated_by, deleted)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)
                 ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, document = excluded.document, mode = excluded.mode,
                   rules = excluded.rules, revision = excluded.revision, created_at = excluded.created_at,
                   updated_at = excluded.updated_at, updated_by = excluded.updated_by, deleted = 0",
                vec![
                    (&policy.name).into(),
                    (&policy.kind).into(),
                    (&policy.document).into(),
                    (&policy.mode).into(),
                    policy.rules.into(),
                    policy.revision.into(),
                    policy.created_at.into(),
                    policy.updated_at.into(),
                    (&policy.updated_by).into(),
                ],
            )
            .await?;
        self.add_revision(&policy, PolicyAction::Created, note, set).await?;
        Ok(policy)
    }

    /// Changes a policy that is at revision `expected`.
    pub async fn update_policy(&mut self, new: NewPolicy, expected: i64, note: &str) -> Result<Policy> {
        self.replace(new, expected, PolicyAction::Updated, note).await
    }

    /// Makes an older revision the newest one again. The caller has parsed it again: a policy that was right once may not be
    /// today.
    pub async fn roll_back_policy(&mut self, old: NewPolicy, expected: i64, note: &str) -> Result<Policy> {
        self.replace(old, expected, PolicyAction::RolledBack, note).await
    }

    pub async fn delete_policy(&mut self, name: &str, expected: i64, note: &str) -> Result<()> {
        let set = self.next_set().await?;
        let mut policy = self.current(name, expected).await?;
        policy.revision += 1;
        policy.updated_at = self.at;
        policy.updated_by.clone_from(&self.actor.name);
        self.connection
            .execute(
                "UPDATE policy SET deleted = 1, revision = $2, updated_at = $3, updated_by = $4 WHERE name = $1",
                vec![name.into(), policy.revision.into(), self.at.into(), (&policy.updated_by).into()],
            )
            .await?;
        self.connection.execute("DELETE FROM policy_status WHERE policy = $1", vec![name.into()]).await?;
        self.add_revision(&policy, PolicyAction::Deleted, note, set).await
    }

    async fn replace(
        &mut self,
        new: NewPolicy,
        expected: i64,
        action: PolicyAction,
        note: &str,
    ) -> Result<Policy> {
        let set = self.next_set().await?;
        let before = self.current(&new.name, expected).await?;
        let policy = self.policy_from(new, expected + 1, before.created_at);
        self.connection
            .execute(
                "UPDATE policy SET kind = $2, document = $3, mode = $4, rules = $5, revision = $6, updated_at = $7,
                   updated_by = $8 WHERE name = $1",
                vec![
                    (&policy.name).into(),
                    (&policy.kind).into(),
                    (&policy.document).into(),
                    (&policy.mode).into(),
                    policy.rules.into(),
                    policy.revision.into(),
                    policy.updated_at.into(),
                    (&policy.updated_by).into(),
                ],
            )
            .await?;
        self.add_revision(&policy, action, note, set).await?;
        Ok(policy)
    }

    /// Locks all policies for this transaction: two changes at once happen one after the other.
    async fn next_set(&mut self) -> Result<i64> {
        self.connection.raise("policy_set", 1).await
    }

    async fn policy_row(&mut self, name: &str) -> Result<Option<(Policy, bool)>> {
        let row =
            self.connection.fetch_optional("SELECT * FROM policy WHERE name = $1", vec![name.into()]).await?;
        row.map(|row| Ok((policy(&row)?, row.flag("deleted")?))).transpose()
    }

    async fn current(&mut self, name: &str, expected: i64) -> Result<Policy> {
        match self.policy_row(name).await? {
            Some((policy, false)) if policy.revision == expected => Ok(policy),
            Some((policy, false)) => Err(StoreError::Conflict { current: policy.revision }),
            Some((_, true)) | None => Err(not_found(name)),
        }
    }

    fn policy_from(&self, new: NewPolicy, revision: i64, created_at: Timestamp) -> Policy {
        Policy {
            name: new.name,
            kind: new.kind,
            document: new.document,
            mode: new.mode,
            rules: new.rules,
            revision,
            created_at,
            updated_at: self.at,
            updated_by: self.actor.name.clone(),
        }
    }

    async fn add_revision(
        &mut self,
        policy: &Policy,
        action: PolicyAction,
        note: &str,
        set: i64,
    ) -> Result<()> {
        let values: Vec<Value> = vec![
            (&policy.name).into(),
            policy.revision.into(),
            (&policy.kind).into(),
            (&policy.document).into(),
            (&policy.mode).into(),
            policy.rules.into(),
            word(&action),
            note.into(),
            (&policy.updated_by).into(),
            self.at.into(),
            set.into(),
        ];
        self.connection
            .execute(
                "INSERT INTO policy_revision
                   (name, revision, kind, document, mode, rules, action, note, updated_by, at, policy_set)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                values,
            )
            .await?;
        let verb = match action {
            PolicyAction::Created => "create",
            PolicyAction::Updated => "update",
            PolicyAction::RolledBack => "roll-back",
            PolicyAction::Deleted => "delete",
        };
        self.audit(
            verb,
            "policies",
            &policy.name,
            &json!({ "revision": policy.revision, "policySet": set, "note": note }),
        );
        self.changed(Change::Policies { set });
        Ok(())
    }
}

fn not_found(name: &str) -> StoreError {
    StoreError::NotFound { what: "policy", name: name.to_owned() }
}

fn policy(row: &Row) -> Result<Policy> {
    Ok(Policy {
        name: row.get("name")?,
        kind: row.get("kind")?,
        document: row.get("document")?,
        mode: row.get("mode")?,
        rules: row.get("rules")?,
        revision: row.get("revision")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        updated_by: row.get("updated_by")?,
    })
}

fn revision(row: &Row) -> Result<PolicyRevision> {
    Ok(PolicyRevision {
        name: row.get("name")?,
        revision: row.get("revision")?,
        kind: row.get("kind")?,
        document: row.get("document")?,
        mode: row.get("mode")?,
        rules: row.get("rules")?,
        action: row.word("action")?,
        note: row.get("note")?,
        by: row.get("updated_by")?,
        at: row.time("at")?,
        policy_set: row.get("policy_set")?,
    })
}
