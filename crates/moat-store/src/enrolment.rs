//! Enrolment tokens: what lets a new node in, once or a number of times, until it expires.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::database::{Row, new_id};
use crate::{Result, Store, StoreError, Transaction};

/// A token, without its secret: of that only the SHA-256 hash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnrolmentToken {
    pub id: String,
    pub label: String,
    pub uses_left: i64,
    pub uses_total: i64,
    pub created_by: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct NewEnrolmentToken {
    pub label: String,
    /// SHA-256 of the secret.
    pub secret_hash: Vec<u8>,
    pub uses: i64,
    pub expires_at: Timestamp,
}

impl Store {
    /// All tokens, newest first.
    pub async fn enrolment_tokens(&self) -> Result<Vec<EnrolmentToken>> {
        let rows = self.database.fetch("SELECT * FROM enrolment_token ORDER BY id DESC", vec![]).await?;
        rows.iter().map(token).collect()
    }
}

impl Transaction {
    pub async fn create_enrolment_token(&mut self, new: NewEnrolmentToken) -> Result<EnrolmentToken> {
        if new.uses < 1 {
            return Err(StoreError::Invalid("an enrolment token needs at least one use".into()));
        }
        let token = EnrolmentToken {
            id: new_id(),
            label: new.label,
            uses_left: new.uses,
            uses_total: new.uses,
            created_by: self.actor.name.clone(),
            created_at: self.at,
            expires_at: new.expires_at,
            revoked_at: None,
        };
        self.connection
            .execute(
                "INSERT INTO enrolment_token
                   (id, label, secret_hash, uses_left, uses_total, created_by, created_at, expires_at)
                 VALUES ($1, $2, $3, $4, $4, $5, $6, $7)",
                vec![
                    (&token.id).into(),
                    (&token.label).into(),
                    new.secret_hash.into(),
                    token.uses_total.into(),
                    (&token.created_by).into(),
                    token.created_at.into(),
                    token.expires_at.into(),
                ],
            )
            .await?;
        self.audit(
            "create",
            "enrolment-tokens",
            &token.id,
            &json!({ "label": token.label, "uses": token.uses_total, "expiresAt": token.expires_at }),
        );
        Ok(token)
    }

    pub async fn revoke_enrolment_token(&mut self, id: &str) -> Result<()> {
        let touched = self
            .connection
            .execute(
                "UPDATE enrolment_token SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1",
                vec![id.into(), self.at.into()],
            )
            .await?;
        if touched == 0 {
            return Err(StoreError::NotFound { what: "enrolment token", name: id.to_owned() });
        }
        self.audit("revoke", "enrolment-tokens", id, &json!({}));
        Ok(())
    }

    /// Takes one use; returns the token's label. Two that come at once for the last use: one gets it.
    pub(crate) async fn use_enrolment_token(&mut self, id: &str, secret_hash: &[u8]) -> Result<String> {
        // What is compared are hashes of secrets, so that the time it takes tells nothing about a secret.
        let row = self
            .connection
            .fetch_optional(
                "UPDATE enrolment_token SET uses_left = uses_left - 1
                 WHERE id = $1 AND secret_hash = $2 AND uses_left > 0 AND expires_at > $3 AND revoked_at IS NULL
                 RETURNING label",
                vec![id.into(), secret_hash.into(), self.at.into()],
            )
            .await?;
        row.ok_or(StoreError::Refused("the enrolment token is unknown, used up, expired or revoked"))?
            .get("label")
    }
}

fn token(row: &Row) -> Result<EnrolmentToken> {
    Ok(EnrolmentToken {
        id: row.get("id")?,
        label: row.get("label")?,
        uses_left: row.get("uses_left")?,
        uses_total: row.get("uses_total")?,
        created_by: row.get("created_by")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        revoked_at: row.optional_time("revoked_at")?,
    })
}
