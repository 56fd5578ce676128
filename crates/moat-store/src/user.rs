//! People who may sign in.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Row, new_id, word};
use crate::{Change, Result, Store, StoreError, Transaction};

#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: String,
    pub name: String,
    pub role: Role,
    /// Argon2id; absent for those who sign in with OpenID Connect only.
    #[serde(skip)]
    pub password_hash: Option<String>,
    pub oidc: Option<Oidc>,
    pub disabled: bool,
    pub revision: i64,
    pub created_at: Timestamp,
    pub last_login_at: Option<Timestamp>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    Admin,
    Operator,
    Auditor,
}

/// A user as an OpenID Connect provider knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oidc {
    pub issuer: String,
    pub subject: String,
}

pub struct NewUser {
    pub name: String,
    pub role: Role,
    pub password_hash: Option<String>,
    pub oidc: Option<Oidc>,
}

impl fmt::Debug for NewUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewUser").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// What is to be different about a user; absent fields stay as they are.
#[derive(Default)]
pub struct UserChange {
    pub role: Option<Role>,
    pub password_hash: Option<String>,
    pub disabled: Option<bool>,
}

impl fmt::Debug for UserChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserChange")
            .field("role", &self.role)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

impl Store {
    pub async fn users(&self) -> Result<Vec<User>> {
        let rows = self.database.fetch("SELECT * FROM account ORDER BY name", vec![]).await?;
        rows.iter().map(user).collect()
    }

    pub async fn user(&self, id: &str) -> Result<User> {
        let row =
            self.database.fetch_optional("SELECT * FROM account WHERE id = $1", vec![id.into()]).await?;
        user(&row.ok_or_else(|| not_found(id))?)
    }

    pub async fn user_by_name(&self, name: &str) -> Result<User> {
        let row =
            self.database.fetch_optional("SELECT * FROM account WHERE name = $1", vec![name.into()]).await?;
        user(&row.ok_or_else(|| not_found(name))?)
    }

    pub async fn user_by_oidc(&self, oidc: &Oidc) -> Result<User> {
        let row = self
            .database
            .fetch_optional(
                "SELECT * FROM account WHERE oidc_issuer = $1 AND oidc_subject = $2",
                vec![(&oidc.issuer).into(), (&oidc.subject).into()],
            )
            .await?;
        user(&row.ok_or_else(|| not_found(&oidc.subject))?)
    }
}

impl Transaction {
    pub async fn create_user(&mut self, new: NewUser) -> Result<User> {
        let user = User {
            id: new_id(),
            name: new.name,
            role: new.role,
            password_hash: new.password_hash,
            oidc: new.oidc,
            disabled: false,
            revision: 1,
            created_at: self.at,
            last_login_at: None,
        };
        self.connection
            .execute(
                "INSERT INTO account
                   (id, name, role, password_hash, oidc_issuer, oidc_subject, disabled, revision, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, 0, 1, $7)",
                vec![
                    (&user.id).into(),
                    (&user.name).into(),
                    word(&user.role),
                    (&user.password_hash).into(),
                    user.oidc.as_ref().map(|oidc| oidc.issuer.clone()).into(),
                    user.oidc.as_ref().map(|oidc| oidc.subject.clone()).into(),
                    user.created_at.into(),
                ],
            )
            .await
            .map_err(|error| error.exists("user", &user.name))?;
        let mut detail = json!({ "id": user.id, "role": user.role });
        if let Some(oidc) = &user.oidc {
            detail["oidc"] = json!(oidc);
        }
        self.audit("create", "users", &user.name, &detail);
        self.changed(Change::Access);
        Ok(user)
    }

    /// Changes a user that is at revision `expected`. A new password, another role or being disabled ends the user's sessions.
    /// The last enabled admin stays one: otherwise nobody could come in to undo it.
    pub async fn update_user(&mut self, id: &str, change: UserChange, expected: i64) -> Result<User> {
        let before = self.lock_user(id).await?;
        if before.revision != expected {
            return Err(StoreError::Conflict { current: before.revision });
        }
        let mut after = before.clone();
        after.role = change.role.unwrap_or(after.role);
        after.disabled = change.disabled.unwrap_or(after.disabled);
        after.revision += 1;
        let password_changed = change.password_hash.is_some();
        after.password_hash = change.password_hash.or(after.password_hash);
        self.connection
            .execute(
                "UPDATE account SET role = $2, password_hash = $3, disabled = $4, revision = $5 WHERE id = $1",
                vec![
                    id.into(),
                    word(&after.role),
                    (&after.password_hash).into(),
                    after.disabled.into(),
                    after.revision.into(),
                ],
            )
            .await?;
        self.require_an_admin(&before).await?;
        if password_changed || after.role != before.role || after.disabled {
            self.connection.execute("DELETE FROM session WHERE user_id = $1", vec![id.into()]).await?;
        }
        self.audit(
            "update",
            "users",
            &after.name,
            &json!({ "role": after.role, "disabled": after.disabled, "passwordChanged": password_changed }),
        );
        self.changed(Change::Access);
        Ok(after)
    }

    pub async fn delete_user(&mut self, id: &str) -> Result<()> {
        let before = self.lock_user(id).await?;
        self.connection.execute("DELETE FROM session WHERE user_id = $1", vec![id.into()]).await?;
        self.connection.execute("DELETE FROM account WHERE id = $1", vec![id.into()]).await?;
        self.require_an_admin(&before).await?;
        self.audit("delete", "users", &before.name, &json!({ "id": id }));
        self.changed(Change::Access);
        Ok(())
    }

    /// All accounts at once, so that two admins cannot remove each other at the same moment.
    async fn lock_user(&mut self, id: &str) -> Result<User> {
        self.connection.execute("UPDATE account SET revision = revision", vec![]).await?;
        let row =
            self.connection.fetch_optional("SELECT * FROM account WHERE id = $1", vec![id.into()]).await?;
        user(&row.ok_or_else(|| not_found(id))?)
    }

    async fn require_an_admin(&mut self, before: &User) -> Result<()> {
        if before.role != Role::Admin || before.disabled {
            return Ok(());
        }
        let left = self
            .connection
            .fetch(
                "SELECT id FROM account WHERE role = $1 AND disabled = 0 LIMIT 1",
                vec![word(&Role::Admin)],
            )
            .await?;
        if left.is_empty() {
            return Err(StoreError::Invalid(
                "the last admin must stay: make somebody else an admin first".into(),
            ));
        }
        Ok(())
    }
}

fn not_found(name: &str) -> StoreError {
    StoreError::NotFound { what: "user", name: name.to_owned() }
}

fn user(row: &Row) -> Result<User> {
    let oidc = match (row.get("oidc_issuer")?, row.get("oidc_subject")?) {
        (Some(issuer), Some(subject)) => Some(Oidc { issuer, subject }),
        _ => None,
    };
    Ok(User {
        id: row.get("id")?,
        name: row.get("name")?,
        role: row.word("role")?,
        password_hash: row.get("password_hash")?,
        oidc,
        disabled: row.flag("disabled")?,
        revision: row.get("revision")?,
        created_at: row.time("created_at")?,
        last_login_at: row.optional_time("last_login_at")?,
    })
}
