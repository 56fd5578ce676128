//! Sessions of the dashboard: opaque tokens, of which only hashes are kept.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use crate::database::Row;
use crate::{Result, Store, Transaction, User};

#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// SHA-256 of the cookie's value.
    #[serde(skip)]
    pub token_hash: Vec<u8>,
    pub user_id: String,
    #[serde(skip)]
    pub csrf: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    pub address: String,
    pub user_agent: String,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user_id", &self.user_id)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// The session with this token and its user, unless it has expired or the user is disabled.
    pub async fn session(&self, token_hash: &[u8]) -> Result<Option<(Session, User)>> {
        let row = self
            .database
            .fetch_optional(
                "SELECT * FROM session WHERE token_hash = $1 AND expires_at > $2",
                vec![token_hash.into(), Timestamp::now().into()],
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let session = session(&row)?;
        match self.user(&session.user_id).await {
            Ok(user) if !user.disabled => Ok(Some((session, user))),
            Ok(_) | Err(crate::StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets the sessions that have expired.
    pub async fn purge_sessions(&self) -> Result<u64> {
        self.database
            .execute("DELETE FROM session WHERE expires_at <= $1", vec![Timestamp::now().into()])
            .await
    }
}

impl Transaction {
    /// Signs a user in.
    pub async fn create_session(&mut self, session: &Session) -> Result<()> {
        self.connection
            .execute(
                "INSERT INTO session (token_hash, user_id, csrf, created_at, expires_at, address, user_agent)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                vec![
                    session.token_hash.as_slice().into(),
                    (&session.user_id).into(),
                    (&session.csrf).into(),
                    session.created_at.into(),
                    session.expires_at.into(),
                    (&session.address).into(),
                    (&session.user_agent).into(),
                ],
            )
            .await?;
        self.connection
            .execute(
                "UPDATE account SET last_login_at = $2 WHERE id = $1",
                vec![(&session.user_id).into(), self.at.into()],
            )
            .await?;
        let name = self.actor.name.clone();
        self.audit("sign-in", "session", &name, &json!({ "userAgent": session.user_agent }));
        Ok(())
    }

    /// Signs a user out.
    pub async fn delete_session(&mut self, token_hash: &[u8]) -> Result<()> {
        self.connection.execute("DELETE FROM session WHERE token_hash = $1", vec![token_hash.into()]).await?;
        let name = self.actor.name.clone();
        self.audit("sign-out", "session", &name, &json!({}));
        Ok(())
    }
}

fn session(row: &Row) -> Result<Session> {
    Ok(Session {
        token_hash: row.get("token_hash")?,
        user_id: row.get("user_id")?,
        csrf: row.get("csrf")?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        address: row.get("address")?,
        user_agent: row.get("user_agent")?,
    })
}
