//! Tokens for programs: a role, narrowed by scopes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Row, json as as_json, new_id, now, word};
use crate::{Change, Result, Role, Store, StoreError, Transaction};

/// A token, without its secret: of that only the SHA-256 hash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiToken {
    pub id: String,
    pub name: String,
    pub role: Role,
    /// `RESOURCE:ACTION`; none means all that the role may.
    pub scopes: Vec<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct NewApiToken {
    pub name: String,
    /// SHA-256 of the token.
    pub token_hash: Vec<u8>,
    pub role: Role,
    pub scopes: Vec<String>,
    pub expires_at: Option<Timestamp>,
}

impl Store {
    /// All tokens, newest first.
    pub async fn api_tokens(&self) -> Result<Vec<ApiToken>> {
        let rows = self.database.fetch("SELECT * FROM api_token ORDER BY id DESC", vec![]).await?;
        rows.iter().map(token).collect()
    }

    /// The token with this hash, unless it has expired.
    pub async fn api_token_by_hash(&self, token_hash: &[u8]) -> Result<Option<ApiToken>> {
        let row = self
            .database
            .fetch_optional(
                "SELECT * FROM api_token WHERE token_hash = $1 AND (expires_at IS NULL OR expires_at > $2)",
                vec![token_hash.into(), Timestamp::now().into()],
            )
            .await?;
        row.as_ref().map(token).transpose()
    }

    /// Notes that a token was used; to the minute, so that a busy token does not keep the store busy.
    pub async fn api_token_used(&self, id: &str) -> Result<()> {
        let at = now().as_microsecond();
        self.database
            .execute(
                "UPDATE api_token SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $3)",
                vec![id.into(), at.into(), (at - 60_000_000).into()],
            )
            .await?;
        Ok(())
    }
}

impl Transaction {
    pub async fn create_api_token(&mut self, new: NewApiToken) -> Result<ApiToken> {
        let token = ApiToken {
            id: new_id(),
            name: new.name,
            role: new.role,
            scopes: new.scopes,
            created_by: self.actor.name.clone(),
            created_at: self.at,
            expires_at: new.expires_at,
            last_used_at: None,
        };
        self.connection
            .execute(
                "INSERT INTO api_token (id, name, token_hash, role, scopes, created_by, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                vec![
                    (&token.id).into(),
                    (&token.name).into(),
                    new.token_hash.into(),
                    word(&token.role),
                    as_json(&token.scopes)?,
                    (&token.created_by).into(),
                    token.created_at.into(),
                    token.expires_at.into(),
                ],
            )
            .await
            .map_err(|error| error.exists("token", &token.name))?;
        self.audit(
            "create",
            "tokens",
            &token.name,
            &json!({ "id": token.id, "role": token.role, "scopes": token.scopes, "expiresAt": token.expires_at }),
        );
        self.changed(Change::Access);
        Ok(token)
    }

    pub async fn delete_api_token(&mut self, id: &str) -> Result<()> {
        let row = self
            .connection
            .fetch_optional("DELETE FROM api_token WHERE id = $1 RETURNING name", vec![id.into()])
            .await?;
        let name: String =
            row.ok_or_else(|| StoreError::NotFound { what: "token", name: id.to_owned() })?.get("name")?;
        self.audit("delete", "tokens", &name, &json!({ "id": id }));
        self.changed(Change::Access);
        Ok(())
    }
}

fn token(row: &Row) -> Result<ApiToken> {
    Ok(ApiToken {
        id: row.get("id")?,
        name: row.get("name")?,
        role: row.word("role")?,
        scopes: row.json("scopes")?,
        created_by: row.get("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.optional_time("expires_at")?,
        last_used_at: row.optional_time("last_used_at")?,
    })
}
